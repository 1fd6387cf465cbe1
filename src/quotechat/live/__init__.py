"""The readers that a worker holds: one thread, all of their sockets. Knows no Flask."""
