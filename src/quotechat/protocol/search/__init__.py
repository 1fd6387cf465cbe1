"""The search: a question as a person types it, and the terms of a text. Pure."""
