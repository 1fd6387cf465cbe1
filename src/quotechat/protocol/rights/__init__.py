"""Rights: the caller, the allowed actions, and the last event that a reader may read. Pure."""
