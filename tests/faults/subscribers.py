"""Readers whose position the server keeps: what was acknowledged is done, all else comes again, in order."""

from __future__ import annotations

import subprocess

from clients import Http, Reader
from history import seq_of
from servers import environment, quotechat
from stage import Stage

_ROOM = "lobby"


class NamedReader(Reader):
    """Reads by a named cursor of a bot, and acknowledges each page; after any fault it asks where it is."""

    token = ""
    acknowledged = 0
    made = False

    def use(self, token: str) -> NamedReader:
        """Read as the bot that has this token."""
        self.token = token
        self._http = Http(headers={"Authorization": f"Bearer {token}"})
        return self

    def _read(self, transport: str, until: float) -> None:
        path = f"/api/v1/cursors/{self.name.lower()}"
        if not self.made:
            self._http.ask(self.url(), "PUT", path, {"rooms": [_ROOM], "from": "0"})
            self.made = True
        position = self._http.ask(self.url(), "GET", path)["rooms"][_ROOM]
        assert (seq_of(position) or 0) >= self.acknowledged, f"{position} after {self.acknowledged} was acknowledged"
        operation, self.cursor = self.history.read(self.name, transport, position), position
        try:
            found = self._http.ask(self.url(), "GET", f"{path}/events?wait={self._wait:g}&limit={self._limit}")
        finally:
            operation.ended = self.history.now()
        page = found["rooms"].get(_ROOM, {"events": [], "cursor": position, "more": False})
        for envelope in page["events"]:
            self.apply(operation, envelope)
        operation.position, operation.more, operation.outcome = page["cursor"], page["more"], "ok"
        self._http.ask(self.url(), "PUT", f"{path}/position", {"rooms": {_ROOM: page["cursor"]}})
        self.acknowledged = seq_of(page["cursor"]) or 0


def named_readers(stage: Stage, count: int) -> None:
    """Let so many more read, at work, each with a cursor of its own."""
    env = environment()
    command = quotechat("bots", "add", "reader", "--data", str(stage.data))
    token = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()
    for number in range(count):
        reader = NamedReader(stage.history, f"named-{number}", stage.urls, number, transports=("named",))
        stage.clients.append(reader.use(token))
        reader.start()
