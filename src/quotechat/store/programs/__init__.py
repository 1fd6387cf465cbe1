"""Programs that read: named cursors, and webhooks with their tries. Statements only."""
