"""The checks that every request passes: identity, origin, limits, and the refusals."""
