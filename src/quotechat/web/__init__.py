"""The layer above `hub` and `live`: only translation between HTTP or WebSockets and the hub."""
