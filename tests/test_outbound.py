"""Calling other systems: where a POST may go, as a table, and what is made of a receiver that misbehaves."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quotechat import outbound
from quotechat.outbound import Failed, Unsafe, is_safe, parse, post

GLOBAL = [
    "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]  # fmt: skip
NOT_GLOBAL = [
    # IPv4: this network, private, shared, loopback, link-local, special, documentation, benchmarks, multicast, reserved
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    # IPv6: nobody, loopback, local, site, link, multicast, discard, documentation, SRv6, local NAT64
    "::", "::1", "fc00::1", "fd12:3456::1", "fec0::1", "fe80::1", "ff02::1", "ff0e::1", "100::1", "2001:db8::1",
    "3fff::1", "5f00::1", "64:ff9b:1::8.8.8.8", "2001:2::1", "2001:10::1", "4000::1",
    # IPv4 inside IPv6: mapped, translated, compatible, NAT64, 6to4, Teredo (server, then client), ISATAP
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::127.0.0.1", "::10.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1",
    "2002:a9fe:a9fe::1", "2001:0:7f00:1::f7f7:f7f7", "2001:0:808:808::80ff:fffe",
    "2a00:1450::5efe:127.0.0.1", "2a00:1450::200:5efe:10.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("text", GLOBAL)
def test_global_addresses_may_be_called(text: str) -> None:
    """Also those that stand for a global IPv4 address."""
    assert is_safe(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_GLOBAL)
def test_other_addresses_may_not(text: str) -> None:
    """Whatever form they are written in; by name, the one bad address among good ones is enough."""
    assert not is_safe(ipaddress.ip_address(text))
    target = parse("https://hooks.example.org/x")
    with pytest.raises(Unsafe):
        outbound.check(target, ["8.8.8.8", text])


def test_networks_of_the_operator() -> None:
    """They, and no others, may be called besides; http only there."""
    networks = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")]
    for text in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "8.8.8.8"):
        assert is_safe(ipaddress.ip_address(text), networks)
    for text in ("10.2.0.1", "fd00:2::1", "127.0.0.1"):
        assert not is_safe(ipaddress.ip_address(text), networks)
    plain = parse("http://grafana.lan:3000/x")
    assert outbound.check(plain, ["10.1.2.3"], networks) == ["10.1.2.3"]
    for found in (["8.8.8.8"], ["10.1.2.3", "8.8.8.8"], []):
        with pytest.raises(Unsafe):
            outbound.check(plain, found, networks)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/", "file:///etc/passwd", "gopher://example.org:70/", "javascript:alert(1)", "//example.org/",
        "",
        "https://", "https:///x", "https://user@example.org/", "https://user:pass@example.org/", "https://@example.org/",
        "https://example.org/#part", "https://example.org\\@127.0.0.1/", "https://exa mple.org/", "https://example.org/\n",
        "https://example.org/\r\nX: y", "https://ex\u0430mple.org/", "https://\uff11\uff12\uff17.0.0.1/", "https://[::1",
        "https://[::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[8.8.8.8]/", "https://example.org:22/",
        "https://example.org:0/", "https://example.org:1023/", "https://example.org:65536/", "https://example.org:x/",
        "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://127.1/", "https://0177.0.0.1/",
        "https://0x7f.0.0.1/", "https://127.0.0.0x1/", "https://127.0.0.1./", "https://1.2.3.4.5/", "https://256.1.1.1/",
        "https://exam%70le.org/", "https://-a.example/", "https://a..b/", "https://" + "a" * 64 + ".org/",
        "https://example.org/" + "a" * 2000,
    ],
)  # fmt: skip
def test_addresses_that_are_refused_as_they_are_written(url: str) -> None:
    """Nothing is resolved for them."""
    with pytest.raises(Unsafe):
        parse(url)


def test_addresses_that_are_taken() -> None:
    """With their name in lower case, and the port of the scheme."""
    assert parse("https://Hooks.Example.org/a?b=c") == (True, "hooks.example.org", 443, "/a?b=c")
    assert parse("http://10.1.2.3:8080") == (False, "10.1.2.3", 8080, "/")
    assert parse("https://[2A00:1450::1]:443/").authority == "[2a00:1450::1]"
    assert parse("https://example.org:8443/").authority == "example.org:8443"


# --- A receiver that misbehaves ---------------------------------------------------------------------

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"text\":\"a\""
SHORT = GOOD.replace(b": 11", b": 400")
LOCAL = [ipaddress.ip_network("127.0.0.0/8")]


class Peer:
    """Answers each connection with `script` and counts them."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.script: list[bytes] = []
        self.hold = False
        self.reset = False
        self.connections = 0
        self.requests: list[bytes] = []
        self.done = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(60)
                try:
                    self.requests.append(connection.recv(65536))
                    if self.reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        continue
                    for part in self.script:
                        connection.sendall(part)
                        if self.hold:
                            self.done.wait(0.1)
                    if self.hold:
                        self.done.wait(30)
                except OSError:
                    pass

    def answers(self, *script: bytes, hold: bool = False, reset: bool = False) -> Peer:
        self.script, self.hold, self.reset, self.connections = list(script), hold, reset, 0
        self.done.clear()
        return self


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.done.set()
    peer.listening.close()


def ask(peer: Peer, seconds: float = 60.0, **about: object) -> outbound.Answer:
    target = parse(f"http://receiver.example:{peer.port}/x")
    return post(target, {"X": "1"}, b"{}", LOCAL, wanted=lambda status, head: True, seconds=seconds,
                resolve=lambda name, port: ["127.0.0.1"], **about)  # type: ignore[arg-type]  # fmt: skip


def test_what_is_sent(peer: Peer) -> None:
    """One request, with the name of the host, though the connection goes to the address; the answer whole."""
    peer.requests.clear()
    found = ask(peer.answers(GOOD[:40], GOOD[40:]))
    assert (found.status, found.headers["content-type"], found.body) == (200, "application/json", b'{"text":"a"')
    head = peer.requests[0].decode()
    assert head.startswith("POST /x HTTP/1.1\r\n") and f"\r\nHost: receiver.example:{peer.port}\r\n" in head
    assert head.endswith("Content-Length: 2\r\nConnection: close\r\n\r\n{}")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ((b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",), 301),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b"x" * 70000, b"x" * 70000), 200),
        ((b"HTTP/1.0 200 OK\r\n\r\nfine",), 200),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",), 200),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + GOOD,), 200),
        ((SHORT,), "protocol"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nfine",), "protocol"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,), "protocol"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 20000,), "protocol"),
        ((b"SSH-2.0-OpenSSH\r\n",), "protocol"),
        ((b"",), "reset"),
    ],
    ids=["redirect", "long", "until it closes", "chunked", "continue", "lies about length", "half a chunk",
         "long header", "continues for ever", "no HTTP", "nothing"],
)  # fmt: skip
def test_what_a_receiver_may_answer(peer: Peer, script: tuple[bytes, ...], expected: int | str) -> None:
    """A status counts once its answer is complete; a redirect is not followed, a long body is left out."""
    peer.answers(*script)
    if isinstance(expected, int):
        found = ask(peer)
        assert found.status == expected and (found.body is None) == (b"900000" in script[0])
    else:
        with pytest.raises(Failed, match=expected):
            ask(peer)
    assert peer.connections == 1


def test_hanging_and_dripping_end_at_the_deadline(peer: Peer) -> None:
    """One deadline holds for all of it, however slowly something comes; a reset ends it at once."""
    for script in ((), tuple(GOOD[place : place + 1] for place in range(len(GOOD)))):
        peer.answers(*script, hold=True)
        # On a busy machine the time may be over before the name is resolved.
        with pytest.raises(Failed, match=r"timeout|resolve"):
            ask(peer, seconds=0.5)
        peer.done.set()
    with pytest.raises(Failed, match="reset"):
        ask(peer.answers(reset=True))


def test_a_resolver_that_hangs_ends_at_the_deadline_too() -> None:
    """Its thread is left behind, and no connection is made."""
    ended = threading.Event()
    with pytest.raises(Failed, match="resolve"):
        post(parse("https://slow.example/"), {}, b"", seconds=0.2, resolve=lambda name, port: [str(ended.wait(5))])
    ended.set()
    with pytest.raises(Failed, match="resolve"):
        post(parse("https://nowhere.invalid/"), {}, b"", resolve=lambda name, port: socket.getaddrinfo("", "x y"))  # type: ignore[arg-type, return-value]  # raises


def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    """Though the connection goes to an address: another name, or a certificate that is not trusted, gets nothing."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=x", "-addext", "subjectAltName=DNS:hooks.example", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(chain, key)
    asked: list[bytes] = []

    def answer() -> None:
        while True:
            try:
                accepted = listening.accept()[0]
            except OSError:
                return
            try:
                connection = served.wrap_socket(accepted, server_side=True)
            except OSError:  # the client does not trust it, and has gone
                accepted.close()
                continue
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(GOOD)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        port = listening.getsockname()[1]

        def call(name: str, trusted: ssl.SSLContext | None) -> int:
            target = parse(f"https://{name}:{port}/")
            return post(target, {}, b"", LOCAL, resolve=lambda name, port: ["127.0.0.1"], context=trusted).status

        trusting = ssl.create_default_context(cafile=str(chain))
        assert call("hooks.example", trusting) == 200
        for name, context in (("other.example", trusting), ("hooks.example", None)):
            with pytest.raises(Failed, match="tls"):
                call(name, context)
        assert len(asked) == 1


def test_a_name_that_rebinds_reaches_nothing(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is resolved once: no second answer of the resolver is ever asked for, or connected to."""
    asked: list[str] = []
    dialled: list[str] = []

    def resolve(name: str, port: int) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    connect = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda to, **about: dialled.append(to[0]) or connect(to, **about))
    peer.answers(GOOD)
    target = parse(f"http://rebinding.example:{peer.port}/")
    assert post(target, {}, b"", LOCAL, resolve=resolve).status == 200
    with pytest.raises(Unsafe):
        post(target, {}, b"", LOCAL, resolve=resolve)
    assert (len(asked), dialled) == (2, ["127.0.0.1"])


def test_no_connection_is_made_to_what_is_not_safe(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every address of the list, as a literal and behind a name: none."""
    dialled: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda to, **about: dialled.append(to))
    for text in NOT_GLOBAL:
        literal = f"[{text}]" if ":" in text else text
        for scheme in ("https", "http"):
            with pytest.raises(Unsafe):
                post(parse(f"{scheme}://{literal}:{peer.port}/"), {}, b"")
            with pytest.raises(Unsafe):
                post(parse(f"{scheme}://name.example/"), {}, b"", resolve=lambda name, port, text=text: [text])  # type: ignore[misc]
    for name in ("localhost", "localhost.", "ip6-localhost"):
        with pytest.raises((Unsafe, Failed)):
            post(parse(f"https://{name}:{peer.port}/"), {}, b"")
    assert dialled == [] and peer.connections in (0, 1)


# --- Calls that follow on each other ------------------------------------------------------------------

NONE = b"HTTP/1.1 204 No Content\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


@pytest.mark.parametrize(
    ("connections", "statuses"),
    [
        ([[NONE, FINE, NONE]], [204, 200, 204]),
        ([[NONE], [FINE]], [204, 200]),
        ([[NONE, b""], [FINE]], [204, 200]),
        ([[FINE + b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"], [NONE]], [200, 204]),
        ([[FINE.replace(b": 4", b": 40")], [NONE]], [200, 204]),
        ([[FINE.replace(b"Content-", b"Connection: close\r\nContent-")], [NONE]], [200, 204]),
        ([[b"HTTP/1.0 200 OK\r\n\r\nfine"], [NONE]], [200, 204]),
        ([[NONE, b"HTTP/1.1 20"], [NONE]], [204, "protocol", 204]),
        ([[NONE, b""], [b""], [NONE]], [204, "reset", 204]),
    ],
    ids=["kept", "closed before", "closed at the next", "more than announced", "less than announced", "says so",
         "old", "broken in the answer", "closed twice"],
)  # fmt: skip
def test_calls_share_a_connection_that_is_kept(connections: list[list[bytes]], statuses: list[int | str]) -> None:
    """Each call gets its own answer and no other: one that was not answered at all is sent again, once, and the name is
    resolved for each connection."""
    heard: list[int] = []
    resolved: list[str] = []

    def answer() -> None:
        for script in connections:
            with listening.accept()[0] as connection, contextlib.suppress(OSError):
                heard.append(0)
                for part in script:
                    if not connection.recv(65536):
                        break
                    heard[-1] += 1
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)  # the end

    def resolve(name: str, port: int) -> list[str]:
        resolved.append(name)
        return ["127.0.0.1"]

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        target = parse(f"http://receiver.example:{listening.getsockname()[1]}/")
        reused = outbound.ReusedConnection(target, LOCAL, resolve=resolve)
        found: list[int | str] = []
        for _ in statuses:
            try:
                found.append(reused.post({}, b"{}").status)
            except Failed as failed:
                found.append(str(failed))
        reused.close()
        thread.join(60)
    assert found == statuses
    assert len(heard) == len(resolved) == len(connections)
    assert sum(heard) >= len(statuses)
