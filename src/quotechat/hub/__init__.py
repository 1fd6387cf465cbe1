"""The second floor: threads and time. Readers wait here, and are woken here."""
