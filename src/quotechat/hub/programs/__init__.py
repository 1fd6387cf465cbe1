"""Programs: named cursors, and hooks to which other systems post."""
