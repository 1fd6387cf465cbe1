"""The private PostgreSQL of the tests, and a pooler before it: skipped where there is none at home, an error in CI."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_postgres import Server, as_somebody, binaries, free_port, postgres, somebody
from servers import until

__all__ = ["Server", "needed", "pooler", "postgres", "somebody"]


def needed() -> None:
    """Skip where there is no PostgreSQL; in CI that is an error."""
    if binaries() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing; .ci/run installs it")
        pytest.skip("PostgreSQL is missing (Debian: postgresql)")


@contextlib.contextmanager
def pooler(server: Server, name: str) -> Iterator[str]:
    """The URL of the database `name` through a PgBouncer that gives a connection away after each transaction."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PgBouncer is missing; .ci/run installs it")
        pytest.skip("PgBouncer is missing (Debian: pgbouncer)")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="quotechat-pooler-") as directory:
        users, file = Path(directory, "users"), Path(directory, "pgbouncer.ini")
        users.write_text(f'"quotechat" "{server.password}"\n')
        file.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\npool_mode = transaction\ndefault_pool_size = 3\nauth_type = trust\n"
            f"auth_file = {users}\nunix_socket_dir =\nlogfile = {directory}/log\n"
        )
        if os.geteuid() == 0:
            for path in (directory, users, file):
                shutil.chown(path, *somebody())
        with open(f"{directory}/out", "wb") as out:
            process = subprocess.Popen([*as_somebody(), program, str(file)], stdout=out, stderr=out, cwd=directory)
        try:
            url = server.database(name).replace(f":{server.port}/", f":{port}/")
            until(lambda: process.poll() is not None or _answers(port), what="PgBouncer")
            assert process.poll() is None, Path(directory, "out").read_text()
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
