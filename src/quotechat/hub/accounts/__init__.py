"""Accounts and what they sign in with: checks of the caller, then one call of the store."""
