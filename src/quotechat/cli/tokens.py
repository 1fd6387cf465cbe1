"""A token for a program, by name and password, from a terminal."""

from __future__ import annotations

import http.cookies
import json
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import click


def wants_password(url: str) -> bool:
    """Return True if the server is for people with accounts."""
    status, _, _ = _ask(url, "GET", "/api/v1/me")
    return status == 401


def new_token(url: str, name: str, password: str) -> str:
    """Sign in, make a token, and sign out again. Raises ClickException."""
    status, body, cookies = _ask(url, "POST", "/api/v1/sessions", {"name": name, "password": password})
    if status != 201:
        raise click.ClickException(body.get("detail", f"the server answered {status}"))
    session = next((f"{key}={each.value}" for key, each in cookies.items() if key.endswith("quotechat-session")), "")
    status, body, _ = _ask(url, "POST", "/api/v1/tokens", {"name": f"quotechat on {socket.gethostname()}"}, session)
    token = body.get("token")
    detail = body.get("detail", f"the server answered {status}")
    _ask(url, "DELETE", "/api/v1/sessions/this", None, session)
    if not isinstance(token, str):
        raise click.ClickException(detail)
    return token


def _ask(
    url: str, method: str, path: str, body: Any = None, cookie: str = ""
) -> tuple[int, dict[str, Any], http.cookies.SimpleCookie]:
    parts = urlsplit(url)
    headers = {"Origin": f"{parts.scheme}://{parts.netloc}", "User-Agent": "quotechat"}
    if cookie:
        headers["Cookie"] = cookie
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url.rstrip("/") + path, data, headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as fault:
        answer = fault
    except OSError as fault:
        raise click.ClickException(f"{url} does not answer: {fault}") from fault
    with answer:
        text = answer.read()
    cookies = http.cookies.SimpleCookie()
    for line in answer.headers.get_all("Set-Cookie") or ():
        cookies.load(line)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = {}
    return answer.status, found if isinstance(found, dict) else {}, cookies
