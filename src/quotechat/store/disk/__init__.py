"""The data directory: its files, its lock, its secret and its reserve."""
