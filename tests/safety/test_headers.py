"""The headers that keep pages to themselves, on every answer there is, and who may ask at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from servers import Running, environment, quotechat, running
from wire import HOST, Answer, opened, send

EVENTS = "/api/v1/rooms/lobby/events"
MESSAGES = "/api/v1/rooms/lobby/messages"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [
        f"{line} HTTP/1.1",
        "Host: localhost",
        *headers,
        *([f"Content-Length: {len(body)}"] if body else []),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def check(found: Answer) -> None:
    """All of them, each once, and a policy that lets nothing in but what is ours."""
    for name, value in ALWAYS.items():
        assert found.headers.get(name) == value, (name, found)
    policy = dict(part.strip().partition(" ")[::2] for part in found.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(policy) and policy.get("script-src", "'self'") == "'self'"
    assert "access-control-allow-origin" not in found.headers
    assert not re.search(r"[0-9]", found.headers.get("server", "")), "no version is told"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("GET /"), 200), (request("GET /polling"), 200), (request("GET /quotes"), 200),
        (request("GET /lab"), 200),
        (request("GET /rooms/none", "Accept: text/html"), 404), (request("GET /nothing", "Accept: text/html"), 404),
        (request("GET /nothing"), 404), (request("GET /api/v1/nothing"), 404), (request("HEAD /healthz"), 200),
        (request("GET /static/js/none.js"), 404), (request("GET /static//x"), 308),
        (request("DELETE /api/v1/rooms"), 405),
        (request("OPTIONS /api/v1/rooms"), 200), (request("TRACE /"), 405), (request("GET /healthz"), 200),
        (request("GET /metrics"), 200), (request("GET /readyz"), 200), (request(f"GET {EVENTS}"), 200),
        (request(f"GET {EVENTS}?wait=0.1"), 200), (request("GET /api/v1/events?after=lobby&wait=0.1"), 200),
        (request(f"GET {EVENTS}?after=x"), 400), (request(f"GET {EVENTS}?after=99999"), 410),
        (request(f"GET {EVENTS}", "Accept: image/png"), 406),
        (request(f"POST {MESSAGES}", "Content-Type: a/b", body=b"x"), 415),
        (request(f"POST {MESSAGES}", "Origin: null", body=b"x"), 403), (request("GET /api/v1/ws"), 400),
        (request(f"POST {MESSAGES}", "Content-Type: application/json", body=b" " * 65_537), 413),
        (request("DELETE /api/v1/rooms/lobby/messages/1"), 401),
        (request("GET /").replace(b"localhost", b"evil.example"), 400),
        (request("POST /rooms", "Content-Type: application/x-www-form-urlencoded", body=b"name=X"), 422),
        (b"GET / HTTP/1.1\r\n\r\n", 400), (b"hello\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\n\r\n", 417),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_every_answer_has_them(server: Running, sent: bytes, status: int) -> None:
    """Pages, files, the API, and refusals of each floor, below the application too."""
    found = send(server.url, sent, head=sent.startswith(b"HEAD"))
    assert found.status == status
    check(found)
    # Where a shared cache could do harm it may keep nothing (OWASP ASVS 14.3.2); a file is the same for all.
    assert (
        "no-store" in found.headers.get("cache-control", "")
        or b" /static/" in sent
        or status in (308, 405)
        or b"OPTIONS" in sent
    )


def test_files_have_them(server: Running) -> None:
    """Scripts and styles, whole and not modified."""
    page = requests.get(server.url, timeout=60).text
    for path in set(re.findall(r'(?:src|href)="(/static/[^"?]+)', page)):
        found = requests.get(server.url + path, timeout=60)
        assert found.status_code == 200
        check(Answer(200, {name.lower(): value for name, value in found.headers.items()}, b""))
        again = requests.get(server.url + path, headers={"If-None-Match": found.headers["ETag"]}, timeout=60)
        assert again.status_code == 304
        check(Answer(304, {name.lower(): value for name, value in again.headers.items()}, b""))


def test_streams_have_them(server: Running) -> None:
    """What the reactor writes itself, too."""
    for kind in ("application/x-ndjson", "text/event-stream"):
        with requests.get(server.url + EVENTS, headers={"Accept": kind}, stream=True, timeout=60) as found:
            check(Answer(200, {name.lower(): value for name, value in found.headers.items()}, b""))
            assert found.headers["Cache-Control"] == "no-store"


def test_a_page_holds_no_inline_script(server: Running) -> None:
    """The policy would stop it; so there is none, nor a style or a handler."""
    for path in ("/", "/websocket", "/polling", "/quotes", "/lab", "/rooms/none"):
        page = requests.get(server.url + path, timeout=60).text
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", page), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page), path


def test_what_depends_on_who_asks_says_so(server: Running) -> None:
    """`Vary: Cookie` on pages, snapshots and what is one's own; not on files."""
    for path in ("/", "/quotes", "/api/v1/rooms/lobby", MESSAGES, "/api/v1/rooms/lobby/scheduled"):
        vary = requests.get(server.url + path, timeout=60).headers.get("Vary", "")
        assert {"Cookie", "Authorization"} <= {each.strip() for each in vary.split(",")}, path
    assert "Cookie" not in requests.get(f"{server.url}/static/js/none.js", timeout=60).headers.get("Vary", "")


def test_the_cookie(server: Running) -> None:
    """Out of reach for scripts and other sites' forms; over TLS, as a believed proxy tells, never in the clear."""
    cookie = requests.get(server.url, timeout=60).headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Domain" not in cookie


def test_listed_origins(server: Running) -> None:
    """Exactly those of the settings get CORS headers and may write; Vary tells caches."""
    good = requests.get(server.url + EVENTS, headers={"Origin": "https://listed.example"}, timeout=60)
    assert good.headers["Access-Control-Allow-Origin"] == "https://listed.example" and "Origin" in good.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in good.headers
    for origin in ("https://listed.example.evil.example", "http://listed.example", "https://evil.example", "null", "*"):
        other = requests.get(server.url + EVENTS, headers={"Origin": origin}, timeout=60)
        assert "Access-Control-Allow-Origin" not in other.headers and "Origin" in other.headers["Vary"]
    body = {"user": "Ann", "message": "hi"}
    listed = {"Origin": "https://listed.example", "Sec-Fetch-Site": "cross-site"}
    assert requests.post(server.url + MESSAGES, json=body, headers=listed, timeout=60).status_code == 201


def test_an_upgrade_has_what_the_protocol_names_and_no_more(server: Running) -> None:
    """101 is no document: no policy goes with it."""
    opened(server.url).close()


def test_crawlers_are_asked_to_stay_away(server: Running) -> None:
    """By robots.txt, and by a header on pages, the API, files and streams for those that come all the same."""
    robots = requests.get(f"{server.url}/robots.txt", timeout=60)
    assert (robots.status_code, robots.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert robots.text == "User-agent: *\nDisallow: /\n"
    for path in ("/", "/rooms/none", "/quotes", "/nothing", "/healthz", "/static/favicon.svg", "/api/v1/rooms/lobby",
    EVENTS):
        assert requests.get(server.url + path, timeout=60).headers["X-Robots-Tag"] == "noindex", path
    for kind in ("application/x-ndjson", "text/event-stream"):
        with requests.get(server.url + EVENTS, headers={"Accept": kind}, stream=True, timeout=60) as found:
            assert found.headers["X-Robots-Tag"] == "noindex"


FILE = "/static/favicon.svg"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,0-1", "bytes=" + ",".join(["0-1"] * 1000), "bytes=0-1,2-3", "bytes=2-3,0-1", "bytes=0-,0-",
        "bytes=-1,-1",
        "bytes=", "bytes", "bytes=-", "bytes=x-1", "bytes=1-x", "bytes=5-2", "bytes=0-1-2", "bytes=--1",
        "bytes=+1-2", "bytes=0-1,",
        "bytes =0-1", "lines=0-1", "0-1", "=0-1", "bytes=0-" + "9" * 5000, "bytes=" + "9" * 5000 + "-",
        "bytes=\xb2-3", "bytes=1_0-20", ",",
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_range_that_is_odd_is_ignored(server: Running, asked: str) -> None:
    """Several ranges, overlapping or not, and what is no range: the whole file (RFC 9110 §14.2)."""
    whole = requests.get(server.url + FILE, timeout=60).content
    head = request(f"GET {FILE}").decode().replace("\r\n\r\n", f"\r\nRange: {asked}\r\n\r\n").encode("latin-1")
    found = send(server.url, head)
    assert (found.status, found.body) == (200, whole) and "content-range" not in found.headers


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [("bytes=0-0", 206, 0, 1), ("bytes=2-5", 206, 2, 6), ("BYTES=10-", 206, 10, None), ("bytes=-5", 206, -5, None),
     ("bytes=0-999999", 206, 0, None), ("bytes=999999-", 416, 0, 0), ("bytes=-0", 416, 0, 0),
     ("bytes=999999-1000000", 416, 0, 0)],
)  # fmt: skip
def test_one_range(server: Running, asked: str, status: int, first: int, last: int | None) -> None:
    """That part, or 416 with the length: a problem that is only what its status says."""
    whole = requests.get(server.url + FILE, timeout=60).content
    found = requests.get(server.url + FILE, headers={"Range": asked}, timeout=60)
    assert found.status_code == status
    if status == 206:
        assert found.content == whole[first:last]
        assert found.headers["Content-Range"].endswith(f"/{len(whole)}")
    else:
        assert found.headers["Content-Range"] == f"bytes */{len(whole)}"
        assert found.json()["type"] == "about:blank" and "code" not in found.json()
    assert requests.get(f"{server.url}/api/v1/rooms", headers={"Range": asked}, timeout=60).status_code == 200
    assert requests.head(server.url + FILE, headers={"Range": asked}, timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("path", "page"),
    [("/rooms/lobby/", "/rooms/lobby"), ("/rooms/lobby/?before=9&x=%C3%A9", "/rooms/lobby?before=9&x=%C3%A9"),
    ("/quotes/", "/quotes"), ("/rooms/", "/rooms"),
     ("/polling/?mode=short", "/polling?mode=short"), ("/websocket/", "/websocket"), ("/lab/", "/lab"),
     ("/search/?q=tea", "/search?q=tea"), ("/me/", "/me"), ("/reference/", "/reference"), ("/sign-in/", "/sign-in")],
)  # fmt: skip
def test_a_slash_too_many_leads_to_the_page(server: Running, path: str, page: str) -> None:
    """And to nothing but a page of ours."""
    for method in ("GET", "HEAD"):
        found = requests.request(method, server.url + path, allow_redirects=False, timeout=60)
        assert (found.status_code, found.headers["Location"]) == (308, page)
    for other in ("/nothing/", "//evil.example/", "/healthz/", "/api/v1/rooms/lobby/", "/static/", "/rooms//"):
        found = requests.get(server.url + other, allow_redirects=False, timeout=60)
        assert found.status_code in (404, 308) and "evil.example" not in found.headers.get("Location",
        "").split("/")[2:3]
        assert found.status_code == 404 or "//" in other


def test_the_preflight(server: Running) -> None:
    """A listed page may send what the protocol names; another gets no word of CORS."""
    asked = {"Origin": "https://listed.example", "Access-Control-Request-Method": "POST"}
    found = requests.options(server.url + MESSAGES, headers=asked, timeout=60)
    names = {name.strip() for name in found.headers["Access-Control-Allow-Headers"].split(",")}
    assert found.status_code == 204
    assert names >= {"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer"}
    other = requests.options(server.url + MESSAGES, headers={**asked, "Origin": "https://listed.example/"}, timeout=60)
    assert not [name for name in other.headers if name.startswith("Access-Control")]


# --- Proxies ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[0, 1, 2])
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, int]]:
    """A server that believes so many proxies, on which a client may send two messages at once."""
    env = environment(
        QUOTECHAT_TRUSTED_PROXIES=str(request.param), QUOTECHAT_HOSTS="chat.example", QUOTECHAT_MESSAGES_BURST="2",
        QUOTECHAT_MESSAGES_PER_SECOND="0.001", QUOTECHAT_CLIENTS_PER_ADDRESS="1",
    )  # fmt: skip
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server, request.param


def test_forwarded_headers_are_believed_for_so_many_hops(proxied: tuple[Running, int]) -> None:
    """The address that the last believed proxy saw is the client's, whatever the client put before it."""
    server, hops = proxied

    def sent(*addresses: str) -> int:
        body = {"user": "Ann", "message": "hi"}
        headers = {"X-Forwarded-For": ", ".join(addresses), "Host": "chat.example"}
        return requests.post(server.url + MESSAGES, json=body, headers=headers, timeout=60).status_code

    # What the client forges changes with each request; what the proxies add does not.
    chains = [[f"10.9.9.{number}", *["192.0.2.7", "192.0.2.1"][2 - hops :]] for number in range(5)]
    assert [sent(*chain) for chain in chains] == [201, 201, 429, 429, 429]
    # Another client behind the same proxies is counted for itself, but where no proxy is believed.
    other = {0: [], 1: ["192.0.2.2"], 2: ["192.0.2.8", "192.0.2.1"]}[hops]
    assert sent("10.9.9.1", *other) == (201 if hops else 429)


def test_forwarded_host_and_scheme(proxied: tuple[Running, int]) -> None:
    """They are the last believed proxy's to say; a client's own words for them change nothing."""
    server, hops = proxied
    lines = {"Host": "chat.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    found = requests.get(f"{server.url}/", headers=lines, timeout=60)
    assert found.status_code == (400 if hops == 1 else 200)
    lines["X-Forwarded-Host"] = "chat.example"
    assert ("Secure" in requests.get(f"{server.url}/", headers=lines, timeout=60).headers["Set-Cookie"]) is (hops == 1)


def test_a_page_in_the_clear_does_not_write_to_one_over_tls(proxied: tuple[Running, int]) -> None:
    """Where TLS is known of, `http:` is another origin; where it is not, a proxy may have ended it."""
    server, hops = proxied
    lines = {"Host": "chat.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.99"}
    for origin, status in (("http://chat.example", 403 if hops == 1 else 422), ("https://chat.example", 422)):
        got = requests.post(server.url + MESSAGES, json={}, headers={**lines, "Origin": origin}, timeout=60)
        assert got.status_code == status


# --- What is kept, and what is told ----------------------------------------------------------------


def test_files_are_private_and_logs_hold_no_secret(tmp_path: Path) -> None:
    """0700 and 0600, made by two workers that start together; nothing of what was said is printed."""
    data = tmp_path / "data"
    env = environment(QUOTECHAT_WORKERS="2", QUOTECHAT_LOG_LEVEL="debug", FLASK_DEBUG="1")
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server:
        token = requests.post(f"{server.url}/api/v1/guests", json={"user": "Ann"}, timeout=60).json()["token"]
        mine = {"Authorization": f"Bearer {token}"}
        body = {"user": "Ann", "message": "xyzzy-text"}
        for _ in range(8):  # whichever worker answers
            assert requests.post(server.url + MESSAGES, json=body, headers=mine, timeout=60).status_code == 201
        requests.get(f"{server.url}/xyzzy%0Ainjected: line", timeout=60)
        send(server.url, b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: Bearer xyzzy-header\r\nbad line\r\n\r\n")
        send(server.url, b"GET /xyzzy-target HTTP/9\r\n\r\n")
        [cookie] = requests.get(server.url, timeout=60).cookies.values()
        assert data.stat().st_mode & 0o777 == 0o700
        secret = data / "secret"
        assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_text()) >= 64
        assert [each.name for each in data.iterdir() if each.name.startswith("secret.")] == []
        for each in data.iterdir():
            assert each.stat().st_mode & 0o077 == 0 or each.is_socket(), each.name
        for word in ("xyzzy", token, cookie, secret.read_text(), "injected"):
            assert word not in server.output, word


def test_a_fault_shows_nothing_of_itself(tmp_path: Path) -> None:
    """500, a problem with a number, no traceback; and debug settings of Flask change nothing of that."""
    from quotechat import create_app
    from quotechat.config import Settings

    app = create_app(Settings(data=tmp_path))
    app.debug = True

    @app.get("/api/v1/broken")
    def broken() -> str:
        raise RuntimeError("xyzzy")

    found = app.test_client().get("/api/v1/broken")
    problem = json.loads(found.data)
    assert (found.status_code, problem["code"]) == (500, "internal") and problem["request_id"]
    assert b"xyzzy" not in found.data and b"Traceback" not in found.data
    check(Answer(500, {name.lower(): value for name, value in found.headers.items()}, b""))
    app.extensions["quotechat"].close()


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"), ("::1", "::1"), ("unknown", ""),
        ("x" * 5000, ""), ("", ""),
    ],
)  # fmt: skip
def test_what_counts_as_one_address(tmp_path: Path, remote: str, counted: str) -> None:
    """Whoever has one address of IPv6 has its whole network; what is no address is one and the same."""
    from quotechat import create_app
    from quotechat.config import Settings
    from quotechat.web.http import security

    app = create_app(Settings(data=tmp_path))
    with app.test_request_context(environ_overrides={"REMOTE_ADDR": remote}):
        assert security.address() == counted
    app.extensions["quotechat"].close()
