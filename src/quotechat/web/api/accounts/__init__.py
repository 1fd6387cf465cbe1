"""The calls about accounts: signing in, one's own account, bots, and administration."""
