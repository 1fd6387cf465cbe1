"""The text of messages: markup, links, mentions, and how other programs write it."""
