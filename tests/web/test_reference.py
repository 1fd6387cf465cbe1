"""The reference: in step with the specifications, and each line that it shows works as it stands."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import subprocess

import pytest
import requests
from flask.testing import FlaskClient
from servers import ROOT, Running

from quotechat.web.spec.reference import Reference


@pytest.fixture(scope="module")
def store_kind() -> str:
    """One store: the reference is made of the specifications."""
    return "sqlite"


def _tool() -> object:
    spec = importlib.util.spec_from_file_location("api_reference", ROOT / "tools" / "api_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_is_in_step() -> None:
    """docs/reference/api.md is what `python tools/api_reference.py` writes."""
    tool = _tool()
    assert tool.PAGE.read_text("utf-8") == tool.written()  # type: ignore[attr-defined]  # loaded by its path


def test_the_page_shows_everything(client: FlaskClient) -> None:
    """Every path, every envelope and every code, with this server's own address, under a strict policy."""
    answer = client.get("/reference", base_url="http://localhost:8123")
    html = answer.get_data(as_text=True)
    document = client.get("/openapi.json").get_json()
    assert answer.status_code == 200 and "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "http://localhost:8123/api/v1/rooms/lobby/events?after=0" in html
    for path in document["paths"]:
        assert f"{path}</code></h3>" in html
    for name in client.get("/asyncapi.json").get_json()["components"]["messages"]:
        assert f"<h3><code>{name.removesuffix('-command')}</code></h3>" in html
    for code in re.findall(r'href="#problem-([a-z-]+)"', html):
        assert f'id="problem-{code}"' in html
    assert '<a href="#type-Events">Events</a>' in html
    for anchor in re.findall(r'href="#([\w-]+)"', html):
        assert f'id="{anchor}"' in html


def test_every_line_works(server: Running, client: FlaskClient) -> None:
    """With curl, in a room of its own where message 1 and a scheduled message are the asker's; streams go on."""
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is missing: apt-get install curl")
    with client.application.app_context():
        reference = Reference(server.url)
    api, numbers, ran = f"{server.url}/api/v1", itertools.count(), 0
    token = requests.post(f"{api}/guests", json={"user": "Azin"}).json()["token"]
    owner = {"Authorization": f"Bearer {token}"}
    quote = {"quote": "Less is more.", "author": "Mies"}
    for call in reference.calls:
        for line in call.lines:
            room = f"line-{next(numbers)}"
            requests.post(f"{api}/rooms", json={"name": room})
            said = {"user": "Owner", "message": "Hi"}
            requests.post(f"{api}/rooms/{room}/messages", json=said, headers=owner)
            later = requests.post(f"{api}/rooms/{room}/messages", json={**said, "send_at": "+1h"}, headers=owner)
            waits = later.json()["scheduled"]["id"]
            quoted = requests.post(f"{api}/quotes", json={**quote, "room": room}, headers=owner).json()["id"]
            line = line.replace("lobby", room).replace("scheduled/1", f"scheduled/{waits}")
            line = line.replace('"scheduled": {"id": 1}', f'"scheduled": {{"id": {waits}}}')
            line = line.replace("quotes/1", f"quotes/{quoted}")
            line = line.replace('"quote": {"id": 1}', f'"quote": {{"id": {quoted}}}')
            if "/commands" in line:  # in whose name is told by the words around it
                line = line.replace("curl ", 'curl -H "Authorization: Bearer $TOKEN" ', 1)
            done = _ran(line, token)
            assert done.stdout in ("200", "201", "202"), f"{line}: {done.stdout} {done.stderr}"
            # 28: a stream had to be ended.
            assert done.returncode == (28 if " -N " in line else 0), line
            ran += 1
    assert ran > 30


def _ran(line: str, token: str) -> subprocess.CompletedProcess[str]:
    """Run a line that prints the status; a stream is ended after a second, or later if it had not begun by then."""
    env = {**os.environ, "TOKEN": token}
    for seconds in (1, 10, 60) if " -N " in line else (60,):
        limited = line.replace("curl ", f"curl -s -m {seconds} -o /dev/null -w '%{{http_code}}' ", 1)
        done = subprocess.run(["bash", "-c", limited], env=env, capture_output=True, text=True, check=False)
        if done.stdout != "000":
            break
    return done
