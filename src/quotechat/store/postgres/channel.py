"""PostgreSQL's LISTEN and NOTIFY, as `hub.background.notices` needs them. Passive: nothing here waits for a notice."""

from __future__ import annotations

import contextlib

import psycopg

from .connections import Connection, PostgresUnavailable, connect

_CHANNEL = "quotechat"
# NOTIFY makes its commit wait for the disk under a lock that the whole server shares; a wake-up may be lost.
_RING = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{_CHANNEL}', %s)"


class Channel:
    """One connection, which listens or notifies.

    Every method raises PostgresUnavailable if the connection was lost; then it is of no use any more.
    """

    def __init__(self, url: str, *, listen: bool = False) -> None:
        self._connection: Connection = connect(url)
        if listen:
            try:
                self._connection.execute(f"LISTEN {_CHANNEL}")
            except psycopg.Error as fault:
                self.close()
                raise PostgresUnavailable(str(fault).strip()) from fault

    def fileno(self) -> int:
        """Return the descriptor: readable if a notification has come, or the connection ended."""
        return self._connection.fileno()

    def notify(self, payload: str) -> None:
        """Notify all listeners; at once, by itself."""
        try:
            self._connection.execute(_RING, [payload])
        except psycopg.Error as fault:
            raise PostgresUnavailable(str(fault).strip()) from fault

    def heard(self) -> list[str]:
        """Take the payloads that have come, without waiting."""
        found = []
        try:
            self._connection.pgconn.consume_input()
            while notice := self._connection.pgconn.notifies():
                found.append(notice.extra.decode())
        except psycopg.Error as fault:
            raise PostgresUnavailable(str(fault).strip()) from fault
        return found

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()
