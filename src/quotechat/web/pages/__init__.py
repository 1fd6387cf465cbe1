"""The pages, for browsers with and without JavaScript."""
