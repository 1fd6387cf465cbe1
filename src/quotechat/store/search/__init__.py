"""The index of a search: a consumer of the log with a stored position. It can be late, never wrong."""
