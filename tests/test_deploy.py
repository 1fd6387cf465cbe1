"""What lies in deploy/ works as it is shipped: the real nginx and the real Caddy with those files, the unit's command.

Replaced are the ports, the certificate, and nothing else. The name chat.example.org leads to the proxy on this
machine, so every client asks as it would from outside.
"""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from private_nginx import around
from private_postgres import free_port
from servers import ROOT, Running, environment, quotechat, running, until
from test_wheel import PARTS
from websockets.asyncio.client import connect

from quotechat.client import Client
from quotechat.config import Settings
from quotechat.doctor import Doctor

DEPLOY = ROOT / "deploy"
NAME = "chat.example.org"
LOBBY = "/api/v1/rooms/lobby"
SETTINGS = {
    "QUOTECHAT_HOSTS": NAME, "QUOTECHAT_TRUSTED_PROXIES": "1",
    # None comes back while the tests run; the other tests send fewer from one address.
    "QUOTECHAT_MESSAGES_BURST": "20", "QUOTECHAT_MESSAGES_PER_SECOND": "0.001",
}  # fmt: skip


class Front(NamedTuple):
    """A proxy and the server behind it."""

    port: int
    plain: int
    server: Running
    certificate: Path

    def dial(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection from `source`, an address of this machine."""
        sock = socket.create_connection(("127.0.0.1", self.port), 60, (source, 0))
        return ssl.create_default_context(cafile=self.certificate).wrap_socket(sock, server_hostname=NAME)

    def ask(
        self, method: str, path: str, body: object = None, source: str = "127.0.0.1", **headers: str
    ) -> tuple[http.client.HTTPResponse, Any]:
        """The answer, read whole, and what its JSON says."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body, given["Content-Type"] = json.dumps(body), "application/json"
        with contextlib.closing(http.client.HTTPConnection(NAME)) as connection:
            connection.sock = self.dial(source)
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            text = answer.read()
        return answer, json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text.decode()

    def post(self, user: str, source: str, **headers: str) -> int:
        """The status of a message."""
        return self.ask("POST", f"{LOBBY}/messages", {"user": user, "message": "hi"}, source, **headers)[0].status

    def upstream(self) -> int:
        """Connections that the server has with the proxy."""
        port = int(self.server.url.rsplit(":", 1)[1])
        found = [each for number in self.server.workers() for each in psutil.Process(number).net_connections("tcp")]
        return sum(each.laddr.port == port and each.status == "ESTABLISHED" for each in found)


def program(name: str, package: str) -> str:
    """Where it is; without it, its tests are skipped, or in CI fail."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is missing: apt-get install {package}")
    return found


def changed(name: str, changes: dict[str, str]) -> str:
    """The shipped file with each of `changes`, all of which apply."""
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"deploy/{name} has no {old!r}"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the name, which signs itself, and its key."""
    directory = tmp_path_factory.mktemp("certificate")
    chain, key = directory / "fullchain.pem", directory / "privkey.pem"
    command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
               "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(chain)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


@contextlib.contextmanager
def proxy(command: list[str], port: int, **env: str) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, **env}, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    said: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        until(lambda: _answers(port) or process.poll() is not None, what=command[0])
        assert process.poll() is None, "".join(said)
        yield
    finally:
        process.terminate()
        process.wait(60)
        reader.join(60)
        process.stderr.close()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@contextlib.contextmanager
def nginx(upstream: str, certificate: tuple[Path, Path], directory: Path) -> Iterator[tuple[int, int]]:
    """deploy/nginx.conf in front of `upstream`; its ports, with TLS and without."""
    port, plain = free_port(), free_port()
    site = changed(
        "nginx.conf",
        {
            "server 127.0.0.1:8000;": f"server {upstream};",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/letsencrypt/live/chat.example.org/fullchain.pem": str(certificate[0]),
            "/etc/letsencrypt/live/chat.example.org/privkey.pem": str(certificate[1]),
        },
    )
    # Not every machine has IPv6.
    (directory / "site.conf").write_text(re.sub(r"(?m)^ *listen \[::\].*\n", "", site), "utf-8")
    config = directory / "nginx.conf"
    config.write_text(around(directory, f"include {directory}/site.conf;"), "utf-8")
    command = [program("nginx", "nginx-light"), "-p", str(directory), "-e", "stderr", "-c", str(config)]
    with proxy(command, port):
        yield port, plain


@contextlib.contextmanager
def caddy(upstream: str, certificate: tuple[Path, Path], directory: Path) -> Iterator[tuple[int, int]]:
    """deploy/Caddyfile in front of `upstream`; its ports."""
    port, plain = free_port(), free_port()
    chain, key = certificate
    config = directory / "Caddyfile"
    config.write_text(
        changed(
            "Caddyfile",
            {
                "reverse_proxy 127.0.0.1:8000": f"reverse_proxy {upstream}",
                "{\n\tservers {": f"{{\n\tadmin off\n\thttp_port {plain}\n\tservers {{",
                f"{NAME} {{": f"https://{NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls {chain} {key}",
            },
        ),
        "utf-8",
    )
    command = [program("caddy", "caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    # It keeps its state in directories of the user.
    with proxy(command, port, XDG_DATA_HOME=str(directory), XDG_CONFIG_HOME=str(directory)):
        yield port, plain


PROXIES = {"nginx": nginx, "caddy": caddy}
#: What Caddy does not do: it passes bodies on as they come, and counts no addresses.
BEHIND_NGINX = pytest.mark.parametrize("front", ["nginx"], indirect=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=environment(**SETTINGS)) as server:
        yield server


@pytest.fixture(scope="module", params=list(PROXIES))
def front(
    request: pytest.FixtureRequest, server: Running, certificate: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    """Each of the proxies in front of the server."""
    upstream = server.url.removeprefix("http://")
    with PROXIES[request.param](upstream, certificate, tmp_path_factory.mktemp("proxy")) as (port, plain):
        yield Front(port, plain, server, certificate[0])


@pytest.fixture(autouse=True)
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """chat.example.org is where the proxy is, and its certificate is believed."""
    if "front" not in request.fixturenames:
        return
    front: Front = request.getfixturevalue("front")
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *more: Any, **how: Any) -> Any:
        return real("127.0.0.1", front.port, *more, **how) if host == NAME else real(host, port, *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))


# --- What passes ------------------------------------------------------------------------------------


def test_the_doctor_finds_nothing(front: Front) -> None:
    """Host, scheme, HTTP version, WebSocket, stream and a held poll: all as it should be."""
    found = list(Doctor(f"https://{NAME}", hold=3, patience=30).examine())
    assert [each for each in found if each.state != "ok"] == []
    assert {"Host", "HTTP version", "WebSocket", "stream", "long poll"} <= {each.check for each in found}


def test_a_poll_may_be_held_longer_than_any() -> None:
    """25 s are the longest hold; the pause between two heartbeats is shorter."""
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert int(re.findall(r"proxy_read_timeout (\d+)s;", text)[0]) > 2 * 25
    # Caddy waits without end unless it is told otherwise.
    assert not re.search(r"read_timeout|response_header_timeout|read_body|write ", (DEPLOY / "Caddyfile").read_text())


def test_a_websocket_there_and_back(front: Front) -> None:
    """Opened by our page's origin; what is sent over it comes back as an event, and its ack.

    On one thread: two threads must not read and write one TLS connection (https://github.com/openssl/openssl/issues/20446),
    and the client of websockets.sync does: some of its handshakes never reached the proxy.
    """

    async def there_and_back() -> set[str]:
        address = f"wss://{NAME}/api/v1/ws?room=lobby"
        async with connect(address, origin=f"https://{NAME}") as ws:  # type: ignore[arg-type]  # a str will do
            assert json.loads(await ws.recv())["command"] == "caught-up"
            message = {"user": f"Ws{front.port}", "message": "hi"}
            await ws.send(json.dumps({"command": "send-message", "client_id": "there", "message": message}))
            return {json.loads(await ws.recv())["command"] for _ in range(2)}

    # The main thread may have the loop of the browser tests.
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(asyncio.run, asyncio.wait_for(there_and_back(), 60)).result()
    assert told == {"ack", "message-sent"}


@pytest.mark.parametrize("transport", ["long-poll", "stream", "short-poll"])
def test_a_client_reads_what_it_sends(front: Front, transport: str) -> None:
    """The Python client at the public name, over each of its transports."""
    with Client(f"https://{NAME}", user=f"{transport} {front.port}") as client:
        events = client.events(transport=transport, interval=0.05)  # type: ignore[arg-type]  # each is one
        assert client.post("hi").seq == next(events).seq


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream"])
def test_a_stream_flows(front: Front, kind: str) -> None:
    """An event is there at once, while the stream goes on, also for those who would take it compressed."""
    with contextlib.closing(http.client.HTTPConnection(NAME)) as connection:
        connection.sock = front.dial()
        connection.sock.settimeout(12)  # before the next heartbeat, which would bring it along
        connection.request("GET", f"{LOBBY}/events", headers={"Accept": kind, "Accept-Encoding": "gzip"})
        with connection.getresponse() as answer:
            assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)
            while "caught-up" not in (line := answer.readline().decode()):
                assert line
            assert front.post(f"{kind[:4]}{front.port}", "127.0.0.1") == 201
            while "message-sent" not in (line := answer.readline().decode()):
                assert line


def test_a_stream_flows_over_http2(front: Front) -> None:
    """As browsers ask: the first line of a stream that never ends."""
    command = ["curl", "-sN", "--http2", "--max-time", "60", "--cacert", str(front.certificate), "-w",
               "%{http_version}", "--resolve", f"{NAME}:{front.port}:127.0.0.1", "-H", "Accept: application/x-ndjson",
               f"https://{NAME}:{front.port}{LOBBY}/events"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        began = time.monotonic()
        assert json.loads(process.stdout.readline())["command"] == "heartbeat"
        assert time.monotonic() - began < 12
        process.terminate()
    seen = subprocess.run([*command[:-1], f"https://{NAME}:{front.port}/healthz"], capture_output=True, text=True)
    assert seen.stdout.endswith("2")


def test_plain_http_leads_to_tls(front: Front) -> None:
    """The same address, with https."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", front.plain, timeout=30)) as connection:
        connection.request("GET", "/rooms/lobby?x=1", headers={"Host": NAME})
        answer = connection.getresponse()
    assert answer.status in (301, 308)
    assert re.fullmatch(rf"https://{NAME}(:{front.port})?/rooms/lobby\?x=1", answer.headers["Location"])


def test_the_server_knows_of_tls(front: Front) -> None:
    """The cookie is marked Secure, since the server knows of TLS; browsers are told to keep to it."""
    answer, text = front.ask("GET", "/")
    assert answer.status == 200 and '<form' in text
    assert "Secure" in answer.headers["Set-Cookie"]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]


# --- Who asks ---------------------------------------------------------------------------------------


def test_limits_count_the_visitor_s_address(front: Front) -> None:
    """One address is at its limit, another is not; what a visitor claims to be changes nothing."""
    # Two that no other test has: both proxies are before one server.
    one, other = (f"127.{front.port >> 8}.{front.port & 255}.{last}" for last in (1, 2))
    assert [front.post("One", one) for _ in range(21)] == [201] * 20 + [429]
    assert front.post("Other", other) == 201
    for number in range(3):
        assert front.post("One", one, X_Forwarded_For=f"10.0.0.{number}", X_Real_IP="10.0.0.9") == 429


def test_a_visitor_s_own_forwarded_headers_are_not_believed(front: Front) -> None:
    """Address, host, scheme, prefix and number of the request are the proxy's to say."""
    forged = {
        "X_Forwarded_For": "192.0.2.1", "Forwarded": "for=192.0.2.1;host=evil.example", "X_Request_Id": "forged",
        "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "http", "X_Forwarded_Prefix": "/evil",
    }  # fmt: skip
    answer, seen = front.ask("GET", "/api/v1/seen", **forged)
    assert (seen["address"], seen["host"], seen["scheme"]) == ("127.0.0.1", NAME, "https")
    assert re.fullmatch(r"[0-9a-f-]{32,36}", answer.headers["X-Request-Id"])
    answer, page = front.ask("GET", "/", **forged)
    assert "evil" not in page and "Path=/;" in answer.headers["Set-Cookie"] and "Secure" in answer.headers["Set-Cookie"]
    assert front.ask("GET", "/metrics", **forged)[0].status == front.ask("GET", "/metrics")[0].status == 403


# --- Too much, too slowly ---------------------------------------------------------------------------


def test_a_body_that_is_too_large(front: Front) -> None:
    """A little too large or far: 413 and the code, from whoever refuses it, and the next request is answered."""
    for size in (65_537, 140_000):
        answer, problem = front.ask("POST", f"{LOBBY}/messages?user=Big", b"x" * size, Content_Type="text/plain")
        assert (answer.status, problem["code"]) == (413, "too-large")
    assert front.ask("GET", "/healthz")[0].status == 200


def test_a_file_may_be_larger(front: Front) -> None:
    """An upload reaches the server, through the API and by the form of a page: that decides about it."""
    token = front.ask("POST", "/api/v1/guests", {"user": "Ada"})[1]["token"]
    answer, problem = front.ask("POST", f"{LOBBY}/files", b"x" * 300_000, Authorization=f"Bearer {token}")
    assert (answer.status, problem["code"]) == (403, "forbidden")  # no guest uploads here
    form = b"--cut\r\nContent-Disposition: form-data; name=user\r\n\r\nAda\r\n--cut\r\nContent-Disposition: form-data;"
    form += b" name=file; filename=a\r\n\r\n" + b"x" * 300_000 + b"\r\n--cut--\r\n"
    answer, _ = front.ask("POST", "/rooms/lobby/messages", form, Content_Type="multipart/form-data; boundary=cut")
    assert answer.status in (401, 403)


def slow(front: Front, source: str, count: int, start: bytes, stack: contextlib.ExitStack) -> list[ssl.SSLSocket]:
    """So many connections that begin in this way and do not go on."""
    found = [stack.enter_context(front.dial(source)) for _ in range(count)]
    for sock in found:
        sock.sendall(start)
    return found


@BEHIND_NGINX
def test_slow_senders_do_not_reach_the_server(front: Front) -> None:
    """Half a head or half a body takes no connection to the server; the rest of it does."""
    body = json.dumps({"user": "Slow", "message": "hi"}).encode()
    head = f"POST {LOBBY}/messages HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n".encode()
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    # nginx keeps a connection for the next request, and lets go of it before the server does, after 1 s.
    assert front.ask("GET", "/healthz")[0].status == 200
    until(lambda: front.upstream() == 0, what="an end of idle connections")
    with contextlib.ExitStack() as stack:
        heads = slow(front, "127.3.0.1", 20, head, stack)
        bodies = slow(front, "127.3.0.1", 20, whole[:-5], stack)
        for sock, drip in [*((sock, b"X-Y: z\r\n") for sock in heads), *((sock, whole[-5:-4]) for sock in bodies)]:
            sock.sendall(drip)
        time.sleep(0.3)  # as long as they would need to the server and back, a few times
        assert front.upstream() == 0
        bodies[0].sendall(whole[-4:])
        assert bodies[0].recv(12) == b"HTTP/1.1 201"


@BEHIND_NGINX
def test_one_address_does_not_take_all_connections(front: Front) -> None:
    """The 201st request at once is 429, in the server's words; other addresses do not notice."""
    start = f"POST {LOBBY}/messages HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        slow(front, "127.3.0.2", 200, start, stack)
        asked = until(lambda: _refused(front, "127.3.0.2"), what="a refusal")
        assert asked == {"Retry-After": "2", "code": "rate-limited"}
        assert front.ask("GET", "/healthz", source="127.3.0.3")[0].status == 200
    until(lambda: not _refused(front, "127.3.0.2"), what="an end of it")


def _refused(front: Front, source: str) -> dict[str, str] | None:
    answer, problem = front.ask("GET", "/healthz", source=source)
    return {"Retry-After": answer.headers["Retry-After"], "code": problem["code"]} if answer.status == 429 else None


@BEHIND_NGINX
def test_one_address_does_not_take_all_requests(front: Front) -> None:
    """More than a thousand at once are 429; other addresses do not notice."""
    ask = f"GET /nowhere HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    statuses: list[bytes] = []

    def read(sock: ssl.SSLSocket) -> None:
        found = b""
        while len(re.findall(rb"HTTP/1.1 (\d+)", found)) < 800 and (data := sock.recv(65_536)):
            found += data
        statuses.extend(re.findall(rb"HTTP/1.1 (\d+)", found))

    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        threads = []
        for _ in range(5):
            sock = stack.enter_context(front.dial("127.3.0.4"))
            thread = threading.Thread(target=read, args=[sock])
            thread.start()
            threads.append(thread)
            sock.sendall(ask * 800)
        for thread in threads:
            thread.join(180)
    seconds = time.monotonic() - began
    print(f"\n{statuses.count(b'404')} were answered, {statuses.count(b'429')} refused")
    assert set(statuses) <= {b"404", b"429"} and statuses.count(b"404") >= 1000
    # A machine that answers no more than 200 a second, which nginx always lets through, has none to refuse.
    assert b"429" in statuses or 1000 + 200 * seconds > 4000
    assert front.ask("GET", "/healthz", source="127.3.0.5")[0].status == 200


# --- A new version ----------------------------------------------------------------------------------

#: What systemd does with quotechat.socket and quotechat.service: SIGUSR1 is `systemctl restart`.
SYSTEMD = """
import os, signal, socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
while True:
    if (child := os.fork()) == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execv(sys.argv[1], sys.argv[1:])
    asked = signal.sigwait({signal.SIGUSR1, signal.SIGTERM})
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    print("stopped", flush=True)
    if asked == signal.SIGTERM:
        break
"""


def test_a_restart_closes_no_door(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """With quotechat.socket, behind nginx: who comes between the old server and the new one waits for it.

    The old one says `draining` to those whose connection the proxy had open.
    """
    env = environment(**SETTINGS, QUOTECHAT_DATA=str(tmp_path / "data"), QUOTECHAT_LIMITS="off")
    command = [sys.executable, "-c", SYSTEMD, *quotechat("serve")]
    with contextlib.ExitStack() as stack:
        systemd = stack.enter_context(running(command, env=env))
        (tmp_path / "nginx").mkdir()
        upstream = systemd.url.removeprefix("http://")
        port, plain = stack.enter_context(nginx(upstream, certificate, tmp_path / "nginx"))
        front = Front(port, plain, systemd, certificate[0])
        over = threading.Event()
        answers: list[tuple[float, tuple[int, str | None]]] = []
        longest = [0.0]

        def ask() -> None:
            while not over.is_set():
                began = time.monotonic()
                answer, page = front.ask("GET", f"{LOBBY}/events?after=0")
                answers.append((began, (answer.status, page.get("code"))))
                longest[0] = max(longest[0], time.monotonic() - began)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 20, 120, "answers of the first server")
        systemd.process.send_signal(signal.SIGUSR1)
        until(lambda: "stopped" in systemd.output, 120, "its end")
        ended = time.monotonic()
        until(lambda: sum(began > ended for began, _ in answers) > 20, 120, "answers of the second server")
        until(lambda: systemd.output.count("Ctrl-C") == 2, what="its line")
        over.set()
        for thread in threads:
            thread.join(60)
    told = [each for _, each in answers]
    print(f"\n{len(answers)} requests, {told.count((200, None))} served; the longest took {longest[0]:.2f} s")
    assert set(told) <= {(200, None), (503, "draining")}
    assert {each for began, each in answers if began > ended} == {(200, None)}
    assert systemd.output.count("Ctrl-C") == 2 and longest[0] < 40


# --- The unit and the image -------------------------------------------------------------------------


def test_the_unit_names_what_there_is() -> None:
    """The commands, the settings, the address that the socket holds: the proxies' own."""
    unit = (DEPLOY / "quotechat.service").read_text("utf-8")
    assert re.findall(r"(?m)^ExecStart=(.*)$", unit) == ["/opt/quotechat/bin/quotechat serve"]
    known = {f"QUOTECHAT_{field.name.upper()}" for field in fields(Settings)}
    assert set(re.findall(r"QUOTECHAT_[A-Z_]+", unit)) <= known
    held = re.findall(r"(?m)^ListenStream=(.*)$", (DEPLOY / "quotechat.socket").read_text("utf-8"))
    assert held == [f"{Settings().host}:{Settings().port}"]
    for name in ("nginx.conf", "Caddyfile"):
        assert held[0] in (DEPLOY / name).read_text("utf-8")


def instructions() -> dict[str, list[str]]:
    """The lines of the Dockerfile by their first word; the last of a kind is the image's."""
    text = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8")).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest.strip())
    return found


def test_the_image_is_made_of_what_there_is() -> None:
    """It is built of what a wheel is built of, all of which Docker gets and nothing else; the user owns the volume."""
    image = instructions()
    copied = [path for line in image["COPY"] if not line.startswith("--from") for path in line.split()[:-1]]
    assert sorted(copied) == sorted(PARTS)
    ignore = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    assert "*" in ignore and sorted(line[1:] for line in ignore if line.startswith("!")) == sorted(copied)
    description = configparser.ConfigParser()
    description.read(ROOT / "setup.cfg")
    assert re.findall(r"'\.\[(\w+)\]'", image["RUN"][0])[0] in description["options.extras_require"]
    (user,) = image["USER"]
    assert int(user) > 0 and f"--uid {user} " in image["RUN"][1]
    (volume,) = image["VOLUME"]
    assert f"-m 0700 {volume}" in image["RUN"][1] and f"QUOTECHAT_DATA={volume}" in image["ENV"][0]
    assert f"QUOTECHAT_PORT={image['EXPOSE'][0]}" in image["ENV"][0]
    assert all(image[word][0].startswith("[") for word in ("ENTRYPOINT", "CMD")), "exec form: signals reach the server"


def test_the_image_s_commands(tmp_path: Path) -> None:
    """Its command serves with its settings; its check finds that out, and finds out when it no longer does."""
    image = instructions()
    settings = dict(re.findall(r"(QUOTECHAT_\w+)=(\S+)", image["ENV"][0]))
    assert set(settings) <= {f"QUOTECHAT_{field.name.upper()}" for field in fields(Settings)}
    port = str(free_port())
    env = environment(**{**settings, "QUOTECHAT_DATA": str(tmp_path), "QUOTECHAT_PORT": port})
    name, *command = json.loads(image["ENTRYPOINT"][0]) + json.loads(image["CMD"][0])
    assert name == "quotechat"
    interpreter, *check = json.loads(image["HEALTHCHECK"][0].partition(" CMD ")[2])
    assert interpreter == "python"

    def healthy() -> bool:
        return subprocess.run([sys.executable, *check], env=env, capture_output=True, timeout=180).returncode == 0

    with running(quotechat(*command), env=env):
        assert healthy()
    assert not healthy()
