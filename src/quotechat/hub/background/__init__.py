"""Threads beside the requests: they wake, deliver, tidy and watch."""
