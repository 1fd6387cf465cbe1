"""Bounds for callers: token buckets, connections, threads that wait."""
