"""Settings: read from the environment, bounded, shown, documented."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from servers import environment, finished, quotechat

from quotechat.config import Settings, SettingsError, default_of, unknown_variables, variable

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"


def test_defaults_need_no_environment() -> None:
    """With an empty environment every setting has its default."""
    assert Settings.from_env({}) == Settings()


def test_every_setting_has_its_variable() -> None:
    """What a Settings writes to the environment reads back as the same Settings."""
    changed = Settings(
        host="0.0.0.0", port=0, data=Path("/srv/chat"), workers=3, threads=8, limits=False,
        messages_per_second=0.5, origins=("https://chat.example.org",), hosts=("chat.example.org",),
    )
    assert Settings.from_env(changed.to_env()) == changed
    assert set(changed.to_env()) == {variable(each.name) for each in fields(Settings)}


def test_empty_variable_means_default() -> None:
    """A variable that is set to nothing counts as not set, as compose files do it."""
    assert Settings.from_env({"QUOTECHAT_PORT": " "}).port == 8000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "http"), ("port", "65536"), ("port", "-1"), ("port", "8_000"), ("port", "٨"),
        ("limits", "maybe"), ("threads", "0"), ("workers", "1.5"), ("messages_per_second", "inf"),
        ("messages_per_second", "0"), ("log_level", "loud"), ("origins", "chat.example.org"),
        ("origins", "https://chat.example.org/path"), ("origins", "https://user@chat.example.org"),
        ("origins", "https://chat.example.org:x"), ("hosts", "http://chat"), ("host", "a b"),
        ("held_polls", "64"), ("body_bytes", "1"),
    ],
)
def test_bad_value_names_its_variable(name: str, text: str) -> None:
    """Whoever starts a server with a wrong setting reads which one it is."""
    with pytest.raises(SettingsError, match=variable(name)):
        Settings.from_env({variable(name): text})


@pytest.mark.parametrize(("text", "value"), [("on", True), ("OFF", False), ("true", True), ("0", False)])
def test_switch_reads_the_usual_words(text: str, value: bool) -> None:
    """on/off, true/false and 1/0 are all switches."""
    assert Settings.from_env({"QUOTECHAT_LIMITS": text}).limits is value


def test_bounds_hold_for_programs_too() -> None:
    """A Settings made in code is checked like one from the environment."""
    with pytest.raises(SettingsError, match="QUOTECHAT_PORT"):
        Settings(port=70_000)
    with pytest.raises(SettingsError, match="QUOTECHAT_THREADS"):
        Settings(threads=True)


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 8, 16, 64, 300])
def test_held_polls_leave_threads_for_writers(threads: int) -> None:
    """By default polls may hold a third of the threads or more, and never the last one."""
    settings = Settings(threads=threads)
    assert settings.held_polls < threads
    assert settings.held_polls >= min(threads / 3, threads - 1)


def test_held_polls_of_the_default_leave_a_quarter() -> None:
    """64 threads hold 48 polls."""
    assert Settings().held_polls == 48


def test_origins_are_as_browsers_send_them() -> None:
    """Case, a trailing slash and the default port make no difference to an origin."""
    settings = Settings(origins=("HTTPS://Chat.Example.org:443/", "http://[::1]:8000"))
    assert settings.origins == ("https://chat.example.org", "http://[::1]:8000")


@pytest.mark.parametrize(
    "header",
    ["localhost", "localhost:8000", "LOCALHOST:1", "chat.localhost", "127.0.0.1:8000", "[::1]:8000",
     "192.168.1.20:8000", "[2001:db8::1]", "localhost."],
)
def test_default_hosts_are_usable(header: str) -> None:
    """Without a setting, loopback and any address reach the server."""
    assert Settings().allows_host(header)


@pytest.mark.parametrize(
    "header",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "",
     "a b", "[::1", "[localhost]", "user@localhost", "localhost:8000:1", "localhost/x", "-localhost/", "."],
)
def test_default_hosts_stop_rebinding(header: str) -> None:
    """Without a setting no name passes that somebody else could own."""
    assert not Settings().allows_host(header)


def test_bound_name_and_machine_name_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name listened on, the machine's name and its mDNS name reach the server."""
    monkeypatch.setattr("socket.gethostname", lambda: "Studio.lan")
    settings = Settings(host="chat.lan")
    assert all(settings.allows_host(name) for name in ("chat.lan", "studio.lan:8000", "studio.local"))


def test_named_hosts_are_the_only_ones() -> None:
    """With names set only they and loopback pass; health checks on the machine go on."""
    settings = Settings(hosts=("Chat.example.org",))
    assert settings.allows_host("chat.example.org:443")
    assert settings.allows_host("127.0.0.1:8000")
    assert not settings.allows_host("192.168.1.20")
    assert not settings.allows_host("other.example.org")


def test_show_tells_where_values_come_from() -> None:
    """Each row gives variable, value and source."""
    environ = {"QUOTECHAT_PORT": "9000"}
    rows = {name: (value, source) for name, value, source in Settings.from_env(environ).show(environ)}
    assert rows["QUOTECHAT_PORT"] == ("9000", "environment")
    assert rows["QUOTECHAT_LIMITS"] == ("on", "default")


def test_a_password_is_not_shown() -> None:
    """Neither by --show, nor in a repr, nor where the URL is refused."""
    environ = {"QUOTECHAT_DATABASE": "postgresql://quotechat:s3cret@db/chat"}
    settings = Settings.from_env(environ)
    assert "s3cret" not in repr(settings) and "s3cret" not in str(settings.show(environ))
    assert ("QUOTECHAT_DATABASE", "(hidden)", "environment") in settings.show(environ)
    assert ("QUOTECHAT_LISTEN_DATABASE", "", "default") in settings.show(environ)
    for wrong in ({"QUOTECHAT_DATABASE": "mysql://u:s3cret@h"}, {"QUOTECHAT_DATABASE": "postgresql://u:s3cret @h/d"},
                  {"QUOTECHAT_LISTEN_DATABASE": "postgresql://u:s3cret@h/d"}):  # fmt: skip
        with pytest.raises(SettingsError, match="QUOTECHAT_") as refused:
            Settings.from_env(wrong)
        assert "s3cret" not in str(refused.value)


def test_misspelt_variables_are_found() -> None:
    """A variable with our prefix that is no setting is reported."""
    assert unknown_variables({"QUOTECHAT_PROT": "1", "QUOTECHAT_PORT": "1", "PATH": ""}) == ["QUOTECHAT_PROT"]


def test_settings_are_frozen_but_replaceable() -> None:
    """A change makes a new value, and that is checked again."""
    assert replace(Settings(), port=1).port == 1
    with pytest.raises(SettingsError):
        replace(Settings(), port=-1)


def test_reference_lists_every_setting_with_its_default() -> None:
    """docs/reference/settings.md holds a row per setting: variable, default, bounds, meaning."""
    rows = dict(re.findall(r"^\| `(QUOTECHAT_[A-Z_]+)` \| (.*) \|$", REFERENCE.read_text("utf-8"), re.M))
    assert rows == {variable(each.name): expected_row(each.name) for each in fields(Settings)}


def expected_row(name: str) -> str:
    """The rest of a row of the reference, as config/settings.py has it."""
    each = next(each for each in fields(Settings) if each.name == name)
    low, high = each.metadata["low"], each.metadata["high"]
    bounds = "" if low is None else f"{low:,} to {high:,}"
    default = f"`{default_of(name)}`" if default_of(name) else "(empty)"
    return f"{default} | {bounds} | {each.metadata['doc']}".replace("|  |", "| |")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://qc:p@ss:/w#rd%@127.0.0.1/qc", "postgresql://qc:hunter2%@h/db", "postgresql://qc:hunter#2@h/db",
        "postgresql://qc:hunter/2@h/db", "postgresql://qc:hunter?2@h/db", "postgresql://qc:hunter 2@h/db",
        "postgresql://qc:hunter2@h/db#x", "postgresql://qc:hunter2@h:port/db", "postgresql://qc:hunter2@[::1/db",
        "postgresql://qc:hunter2@h/db?sslmode", "mysql://qc:hunter2@h/db", "host=h password=hunter2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["QUOTECHAT_DATABASE", "QUOTECHAT_LISTEN_DATABASE"])
def test_a_database_that_is_no_url_is_refused_without_its_value(name: str, url: str) -> None:
    """The setting is named, and nothing of the value is repeated: it holds a password."""
    environ = {"QUOTECHAT_DATABASE": "postgresql://h/db", name: url}
    with pytest.raises(SettingsError, match=f"{name} must be a URL") as caught:
        Settings.from_env(environ)
    assert not any(part in str(caught.value) for part in ("hunter", "p@ss", "w#rd", "127.0.0.1"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/db", "postgres://qc:hunter%402@h:5432/db", "postgresql:///db", "postgresql://qc@/db",
        "postgresql://qc:p%2Fw@a:1,b:2/db?target_session_attrs=read-write", "postgresql://[::1]:5432/db",
        "postgresql://%2Fvar%2Frun/db", "postgresql://h/db?options=-csearch_path%3Dx&application_name=a",
    ],
)  # fmt: skip
def test_urls_of_postgresql_are_taken(url: str) -> None:
    """All forms that its driver reads."""
    assert Settings(database=url).database == url


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["config"], ["config", "--show"], ["stats"], ["verify"]])
def test_no_command_repeats_a_password(tmp_path: Path, command: list[str]) -> None:
    """Neither in a URL that cannot be read, nor in one that the driver refuses; and there is no traceback."""
    for url in ("postgresql://qc:p@ss:/w#rd%@127.0.0.1/qc", "postgresql://qc:s3cret@127.0.0.1:1/qc?nonsense=s3cret"):
        env = environment(QUOTECHAT_DATABASE=url, QUOTECHAT_DATA=str(tmp_path))
        done = finished(quotechat(*command), env=env)
        told = done.stdout + done.stderr
        assert "Traceback" not in told and not any(part in told for part in ("w#rd", "p@ss", "s3cret"))
        assert done.returncode in (1, 2) and "QUOTECHAT_DATABASE" in told, told
