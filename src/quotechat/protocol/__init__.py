"""The lowest layer: pure values, without I/O, clock or thread."""
