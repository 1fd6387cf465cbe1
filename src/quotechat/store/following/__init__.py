"""The inbox of an account, its mentions and presence. Statements only."""
