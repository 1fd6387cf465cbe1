"""Benchmarks: each a module with a `make` target of its own."""
