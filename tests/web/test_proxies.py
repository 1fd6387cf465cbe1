"""What proxies in front say of a request, and what they lose on the way: addresses, ports, whose page it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from quotechat import create_app
from quotechat.config import Settings

MESSAGES = "/api/v1/rooms/lobby/messages"
PEER = "192.0.2.250"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Flask]]:
    """Applications that trust so many proxies."""
    data = tmp_path_factory.mktemp("data")
    apps = {
        hops: create_app(
            Settings(data=data / str(hops), trusted_proxies=hops, hosts=("chat.example",), limits=False)
        )
        for hops in (0, 1, 2)
    }
    yield apps
    for app in apps.values():
        app.extensions["quotechat"].close()


def counted(app: Flask, forwarded: str, peer: str = PEER) -> str:
    """The address that the server counts a request for."""
    headers = {"X-Forwarded-For": forwarded, "Host": "chat.example"}
    answer = app.test_client().get("/api/v1/seen", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    address: str = answer.get_json()["address"]
    return address


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("192.0.2.7", "192.0.2.7"), ("192.0.2.7:1", "192.0.2.7"), ("192.0.2.7:65000", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"), ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("[2001:DB8:1:2:3::9]:4711", "2001:db8:1:2::/64"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"), ("::ffff:c000:207", "192.0.2.7"), ("[fe80::1%eth0]:80", "fe80::/64"),
        ("10.0.0.1, 192.0.2.7:99", "192.0.2.7"), ('"10.0.0.1, 192.0.2.7', "192.0.2.7"),
        ('",\\", 192.0.2.7', "192.0.2.7"),
    ],
)  # fmt: skip
def test_an_address_is_compared_as_one(behind: dict[int, Flask], said: str, address: str) -> None:
    """Ports, brackets, zones and spelling make no other client, nor does a quotation mark before the proxy's words."""
    assert counted(behind[1], said) == address
    assert counted(behind[2], f"{said}, 192.0.2.99") == address
    assert counted(behind[0], said) == PEER


@pytest.mark.parametrize(
    "said",
    ["", ",", "unknown", "_hidden", "192.0.2", "192.0.2.7.1", "192.0.2.07", "0x7f.1", "192.0.2.7:", "192.0.2.7:123456",
     "192.0.2.7:x", "[192.0.2.7", "192.0.2.7, ", "192.0.2.7/24", "[]:80", "x" * 5000, "\u0661.2.3.4", "chat.example",
     "for=192.0.2.7"],
)  # fmt: skip
def test_what_is_no_address_counts_as_the_peer(behind: dict[int, Flask], said: str) -> None:
    """Whoever makes a proxy say nonsense, new with each request, has no allowance of its own for each."""
    assert counted(behind[1], said.encode().decode("latin-1")) == PEER
    assert counted(behind[1], said.encode().decode("latin-1"), "2001:db8:5:6:7::1") == "2001:db8:5:6::/64"


@pytest.mark.parametrize(
    ("port", "origin", "status"),
    [
        ("8443", "https://chat.example:8443", 422), ("8443", "https://chat.example", 403),
        ("8443", "https://chat.example:8444", 403), ("443", "https://chat.example", 422),
        ("80", "https://chat.example", 422),
        ("", "https://chat.example:8443", 403), ("x", "https://chat.example", 422),
        ("99999999", "https://chat.example", 422),
        ("1, 8443", "https://chat.example:8443", 422), ("8443, 1", "https://chat.example:8443", 403),
    ],
)  # fmt: skip
def test_a_forwarded_port(behind: dict[int, Flask], port: str, origin: str, status: int) -> None:
    """A trusted proxy's X-Forwarded-Port stands in for the port that a Host has lost; another's is not believed."""
    headers = {"Host": "chat.example", "X-Forwarded-Port": port, "Origin": origin}
    assert behind[1].test_client().post(MESSAGES, json={}, headers=headers).status_code == status
    usual = origin == "https://chat.example"
    assert behind[0].test_client().post(MESSAGES, json={}, headers=headers).status_code == (422 if usual else 403)


def test_the_port_in_the_host_is_the_browser_s(behind: dict[int, Flask]) -> None:
    """A proxy that names the port it listens on itself takes nothing from what the browser asked for."""
    headers = {"Host": "chat.example:8443", "X-Forwarded-Port": "8080"}
    asked = behind[1].test_client().post(MESSAGES, json={}, headers=headers | {"Origin": "https://chat.example:8443"})
    assert asked.status_code == 422
    asked = behind[1].test_client().post(MESSAGES, json={}, headers=headers | {"Origin": "https://chat.example:8080"})
    assert asked.status_code == 403


@pytest.mark.parametrize(
    ("host", "origin", "site", "status"),
    [
        # `proxy_set_header Host $host;` on another port than the usual one.
        ("chat.example", "https://chat.example:8443", "same-origin", 422),
        ("chat.example", "http://chat.example:81", "same-origin", 422),
        ("chat.example:80", "https://chat.example:8443", "same-origin", 422),
        ("chat.example:9", "https://chat.example:8443", "same-origin", 422),
        ("chat.example", "https://chat.example:8443", "", 403),
        ("chat.example", "https://chat.example:8443", "none", 403),
        ("chat.example", "https://chat.example:8443", "same-site", 403),
        ("chat.example", "https://chat.example:8443", "cross-site", 403),
        ("chat.example", "https://evil.example:8443", "same-origin", 403),
        ("chat.example", "https://evil.example", "same-origin", 403),
        ("localhost", "https://evil.example", "same-origin", 403), ("chat.example", "null", "same-origin", 403),
        ("chat.example", "https://chat.example:8443/", "same-origin", 403),
    ],
)  # fmt: skip
def test_a_browser_s_own_word_stands_in_for_a_lost_port(
    behind: dict[int, Flask], host: str, origin: str, site: str, status: int
) -> None:
    """`Sec-Fetch-Site: same-origin` is a browser's comparison, which no page can forge; the host must match, though.

    Without it, and if a proxy has put another Host, the refusal says what the proxy must change.
    """
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": site}
    answer = behind[0].test_client().post(MESSAGES, json={}, headers=headers)
    assert answer.status_code == status
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", **headers}
    assert behind[0].test_client().get("/api/v1/ws", headers=upgrade).status_code == (403 if status == 403 else 426)
    if status == 403:
        problem = answer.get_json()
        helps = site not in ("same-site", "cross-site") and origin not in ("null", "https://chat.example:8443/")
        assert problem["code"] == "origin-refused"
        assert ("quotechat doctor" in problem["detail"]) is ("Host $http_host" in problem["detail"]) is helps
