"""Work that shrinks or renews a store: redaction, retention, pruning, removal, rebuild."""
