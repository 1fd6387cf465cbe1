"""The second floor: threads and time. What waits, and who wakes it, lives here."""
