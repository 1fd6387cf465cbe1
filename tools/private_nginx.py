"""A private nginx's configuration, for tests and `make cluster`: nothing of the machine's own is read or touched."""

from __future__ import annotations

from pathlib import Path


def around(directory: Path, inside: str) -> str:
    """A whole nginx.conf whose ``http`` block holds `inside`; what nginx writes lies below `directory`."""
    temporary = "\n".join(
        f"    {name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off;\nworker_processes 1;\n"
        f"pid {directory}/nginx.pid;\nerror_log stderr warn;\nevents {{ worker_connections 4096; }}\n"
        f"http {{\n    access_log off;\n{temporary}\n{inside}\n}}\n"
    )
