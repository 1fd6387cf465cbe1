"""How SQLite keeps the contract."""
