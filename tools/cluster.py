"""quotechat on several servers, all on this machine: `make cluster`. Ctrl-C stops it, and nothing is kept.

A private PostgreSQL, two servers, and an nginx in front of them that gives each request to any of the two. It is to
look at and to try failures on; docs/how-to/scale-out.md has what a real one needs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from private_nginx import around
from private_postgres import binaries, free_port, postgres

SERVERS = 2
NGINX = """
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream quotechat {{
        {servers}
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 1m;
        location / {{
            proxy_pass http://quotechat;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Prefix '';
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_read_timeout 75s;
            # A server that restarts is passed over; a write is never sent twice.
            proxy_next_upstream error timeout;
        }}
    }}
"""


@contextlib.contextmanager
def server(database: str, directory: Path) -> Iterator[str]:
    """The address of one server, ``127.0.0.1:PORT``."""
    env = {
        **os.environ,
        "QUOTECHAT_DATABASE": database,
        "QUOTECHAT_TRUSTED_PROXIES": "1",
        "QUOTECHAT_DATA": str(directory),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "quotechat", "serve", "--port", "0"]
    with _process(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://(\S+:[0-9]+)", line)
        if found is None:
            sys.exit(f"a server did not start: {line}")
        yield found[1]


@contextlib.contextmanager
def nginx(addresses: list[str], directory: Path) -> Iterator[str]:
    """The URL of an nginx in front of `addresses`."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        sys.exit("nginx is missing (Debian: nginx-light)")
    port = free_port()
    servers = "\n        ".join(f"server {address};" for address in addresses)
    file = directory / "nginx.conf"
    file.write_text(around(directory, NGINX.format(servers=servers, port=port)))
    command = [program, "-c", str(file), "-p", str(directory), "-e", "stderr"]
    with _process(command):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _process(command: list[str], **more: object) -> Iterator[subprocess.Popen[str]]:
    # In a group of its own: Ctrl-C is for us alone, and we stop the parts in their order.
    process = subprocess.Popen(command, start_new_session=True, **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def until_it_answers(url: str, seconds: float = 30.0) -> None:
    """Wait for `url`; exits where it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError as fault:
            if time.monotonic() > deadline:
                sys.exit(f"{url} does not answer: {fault}")
        time.sleep(0.1)


@contextlib.contextmanager
def cluster() -> Iterator[tuple[str, list[str]]]:
    """The URL in front, and those of the servers behind it."""
    if binaries() is None:
        sys.exit("PostgreSQL is missing (Debian: postgresql)")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quotechat-cluster-")))
        directory.chmod(0o711)  # nginx's workers, who are not us where we are root, keep large bodies below
        database = stack.enter_context(postgres())
        data = [directory / f"data-{number}" for number in range(SERVERS)]
        addresses = [stack.enter_context(server(database.url, each)) for each in data]
        for address in addresses:
            until_it_answers(f"http://{address}")
        url = stack.enter_context(nginx(addresses, directory))
        until_it_answers(url)
        yield url, [f"http://{address}" for address in addresses]


def main() -> None:
    """Run until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with cluster() as (url, servers):
            print(f"quotechat at {url}, behind it {' and '.join(servers)}; Ctrl-C stops all", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
