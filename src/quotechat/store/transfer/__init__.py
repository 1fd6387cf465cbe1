"""Whole stores on their way: dump and load, export, move, backup, and what there is, in figures."""
