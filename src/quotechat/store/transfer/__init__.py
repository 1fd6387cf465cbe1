"""Copy whole stores: dump and load, export, move, backup, and counts of their contents."""
