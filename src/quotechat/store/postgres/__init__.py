"""How PostgreSQL keeps the contract."""
