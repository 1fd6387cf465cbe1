"""Accounts, their credentials, and the checks of the rules on them. Statements only."""
