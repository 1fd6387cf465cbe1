"""Files: their rows, and their contents in the data directory or in the database."""
