"""Accounts and their credentials: checks of the caller, then one call of the store."""
