"""The layer above `protocol`: durable, ordered and passive. It never waits for news and starts no thread."""
