"""The layer above `store`: threads and time. Readers wait here, and are woken here."""
