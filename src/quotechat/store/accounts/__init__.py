"""Accounts, what they sign in with, and what the rules ask of them. Statements only."""
