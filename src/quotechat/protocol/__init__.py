"""The ground floor: pure values. No I/O, no clock and no thread live here."""
