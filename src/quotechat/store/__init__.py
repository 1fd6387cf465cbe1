"""The first floor: durable, ordered and passive. It never waits for news and starts no thread."""
