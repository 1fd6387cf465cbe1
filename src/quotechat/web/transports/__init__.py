"""The ways by which events reach a reader and messages a room: polls, streams, WebSockets."""
