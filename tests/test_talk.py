"""say, tail and quote, as a shell runs them, against a real server."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import ROOT, Running, environment, finished, quotechat, running, until

from quotechat.client import Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = str(tmp_path_factory.mktemp("data"))
    command = quotechat("serve", "--port", "0", "--data", data)
    with running(command, env=environment(QUOTECHAT_LIMITS="off")) as server:
        yield server


def run(server: Running, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """A command to its end; the server comes from the environment."""
    env = environment(**{"QUOTECHAT_URL": server.url, "QUOTECHAT_USER": "Ada", "TZ": "UTC", **env})
    return finished(quotechat(*arguments), env=env, given=stdin)


class Tail:
    """`quotechat tail` at work, its output a pipe or a terminal."""

    def __init__(self, url: str, *arguments: str, terminal: bool = False, **env: str) -> None:
        self._came = b""
        ours, theirs = pty.openpty() if terminal else os.pipe()
        self.end = ours
        command = quotechat("tail", *arguments)
        self.process = subprocess.Popen(
            command, env=environment(**{"QUOTECHAT_URL": url, "TERM": "xterm", "TZ": "UTC", **env}), cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(theirs)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # a terminal whose other end is closed
            while data := os.read(self.end, 65536):
                self._came += data

    @property
    def text(self) -> str:
        """What came; the last character may be there in part."""
        return self._came.decode(errors="ignore")

    def stop(self) -> tuple[int, str]:
        """Ctrl-C; the exit code and what was said on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, complaints = self.process.communicate(timeout=120)
        self.reader.join(60)
        os.close(self.end)
        return self.process.returncode, complaints


@contextlib.contextmanager
def tailing(url: str, *arguments: str, **options: Any) -> Iterator[Tail]:
    tail = Tail(url, *arguments, **options)
    try:
        yield tail
    finally:
        if tail.process.poll() is None:
            tail.stop()


def latest(server: Running) -> dict[str, Any]:
    with Client(server.url) as client:
        return dict(client.snapshot()["messages"][-1])


def test_say(server: Running) -> None:
    """One argument is the text, two are room and text, - and no argument are the standard input."""
    done = run(server, "say", "**hello** there", "--color", "teal")
    said = latest(server)
    assert (done.returncode, done.stdout) == (0, f"lobby #{said['id']}\n")
    assert (said["user"], said["message"], said["color"]) == ("Ada", "**hello** there", "teal")
    assert run(server, "say", "lobby", "by name", "-u", "Bo").returncode == 0
    assert latest(server)["user"] == "Bo"
    for arguments in (["say", "lobby", "-"], ["say", "-"], ["say"]):
        run(server, *arguments, stdin=f"piped {len(arguments)}\nin two lines\n")
        assert latest(server)["message"] == f"piped {len(arguments)}\nin two lines"


def test_say_lines(server: Running) -> None:
    """--lines sends each line by itself, in order."""
    done = run(server, "say", "--lines", stdin="one\n\ntwo\nthree\n")
    assert len(done.stdout.splitlines()) == 3
    with Client(server.url) as client:
        assert [each["message"] for each in client.snapshot()["messages"][-3:]] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("arguments", "sent", "said"),
    [(["say", "-"], "\ufeffmark\n".encode(), "mark"), (["say"], "é😀\r\n".encode(), "é😀"),
     (["say", "--lines"], "\ufefflines\n".encode(), "lines"), (["say", "--lines"], "é\n".encode("latin-1"), None),
     (["say", "-"], "text\n".encode("utf-16"), None)],
)  # fmt: skip
def test_say_takes_text_only(server: Running, arguments: list[str], sent: bytes, said: str | None) -> None:
    """A byte order mark is no part of the text; what is not UTF-8 is one line, and nothing is sent."""
    before = latest(server)
    env = environment(QUOTECHAT_URL=server.url, QUOTECHAT_USER="Ada", PYTHONUTF8="1")
    done = subprocess.run(quotechat(*arguments), env=env, cwd=ROOT, input=sent, capture_output=True, timeout=180)
    if said is not None:
        assert (done.returncode, latest(server)["message"]) == (0, said), done.stderr
    else:
        assert done.returncode == 1 and latest(server) == before
        assert done.stderr.startswith(b"Error: the input is not UTF-8: byte 1 is 0x") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_tail_goes_on_at_what_a_terminal_cannot_show(server: Running, as_json: bool) -> None:
    """On a Latin-1 terminal an emoji is a question mark, and an escape in JSON; what follows is shown."""
    tail = Tail(server.url, *(["--json"] if as_json else []), PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    with Client(server.url, user="Ada") as client:
        until(lambda: client.post("are you there? 😀") and "are you there?" in tail.text, what="the emoji")
        client.post("and on")
        until(lambda: "and on" in tail.text, what="the next one")
    assert (r"\ud83d\ude00" if as_json else "there? ?") in tail.text
    tail.stop()


def test_say_json_and_again(server: Running) -> None:
    """--json prints the acknowledgement; the same client_id again is stored once."""
    first = json.loads(run(server, "say", "once", "--client-id", "say-1", "--json").stdout)
    again = json.loads(run(server, "say", "once", "--client-id", "say-1", "--json").stdout)
    assert (again["seq"], again["duplicate"], first["duplicate"]) == (first["seq"], True, False)


def test_scheduling_needs_an_identity(server: Running) -> None:
    """sign-in prints a token; with it a message waits, without it that is refused."""
    assert run(server, "say", "later", "--at", "+1h").returncode == 1
    token = run(server, "sign-in", "Tea").stdout.strip()
    done = run(server, "say", "later", "--at", "+1h", "-u", "Tea", QUOTECHAT_TOKEN=token)
    assert (done.returncode, done.stdout[:19]) == (0, "lobby: waits until ")


def test_exit_codes(server: Running) -> None:
    """1 refused, 2 wrong usage, 3 no answer: each with one line that says why."""
    refused = run(server, "say", "nowhere", "x")
    assert (refused.returncode, refused.stderr) == (1, "Error: There is no room 'nowhere'.\n")
    assert run(server, "say", "x", "--color", "beige").returncode == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody else listens there either
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        unanswered = run(server, "say", "x", "--url", nobody, "--patience", "0.1", "--client-id", "try-1")
    assert unanswered.returncode == 3
    assert "--client-id try-1" in unanswered.stderr
    assert run(server, "tail", "nowhere").returncode == 1
    assert "Traceback" not in unanswered.stderr + refused.stderr


@pytest.mark.parametrize("transport", ["long-poll", "stream", "short-poll"])
def test_tail_json_goes_on_from_a_cursor(server: Running, transport: str) -> None:
    """Each line is an envelope, in order from --since, over each transport."""
    with Client(server.url, user="Ada") as client:
        since = client.snapshot()["cursor"]
        seqs = [client.post(f"{transport} {number}").seq for number in range(3)]
        options = ("--since", since, "--json", "--transport", transport, "--interval", "0.1")
        with tailing(server.url, *options) as tail:
            until(lambda: tail.text.count("\n") >= 3, 60, "three lines")
            seqs.append(client.post("live").seq)
            until(lambda: tail.text.count("\n") >= 4, 60, "the live one")
            assert [json.loads(line)["seq"] for line in tail.text.splitlines()] == seqs
            assert tail.stop() == (130, "")


def test_tail_since_0_begins_at_the_oldest_event_kept(tmp_path: Path) -> None:
    """Also when retention has cut the beginning of the room."""
    data = str(tmp_path)
    with running(quotechat("serve", "--port", "0", "--data", data), env=environment()) as server:
        with Client(server.url, user="Ada") as client:
            client.post("cut")
            done = finished(quotechat("retain", "--keep", "0s", "--data", data), env=environment())
            assert "lobby: 1 of 1 event cut" in done.stdout, done.stdout + done.stderr
            client.post("the oldest")
            with tailing(server.url, "--since", "0") as tail:
                until(lambda: "the oldest" in tail.text, what="what is kept")
                client.post("and on")
                until(lambda: "and on" in tail.text, what="the live one")
                assert tail.stop() == (130, "")


def test_tail_on_a_terminal(server: Running) -> None:
    """Markup and colours as ANSI, but what strangers write cannot steer the terminal; NO_COLOR has none."""
    with Client(server.url, user="Ada") as client:
        client.post("**bold** and \u202etricky", color="teal")
        with tailing(server.url, "-n", "1", terminal=True) as colored:
            until(lambda: "tricky" in colored.text, 60, "the message")
            assert "\x1b[1;38;5;30mbold\x1b[0m" in colored.text
            assert "\u202e" not in colored.text
        with tailing(server.url, "-n", "1", terminal=True, NO_COLOR="1") as plain:
            until(lambda: "tricky" in plain.text, 60, "the message")
            assert "\x1b" not in plain.text
            assert "Ada: bold and \ufffdtricky" in plain.text


def test_tail_tells_what_happens(server: Running) -> None:
    """Replies, edits, deletions, reactions and quotes each have their line; a pipe gets no escape."""
    with Client(server.url) as client:
        since = client.snapshot()["cursor"]
        client.sign_in("Teller")
        first = client.post("one").seq
        assert first is not None
        client.post("two\nlines", reply_to=first)
        client.edit(first, "uno")  # a reply that is read from here on shows the new words
        client.react(first, "like")
        with tailing(server.url, "--since", since) as tail:
            until(lambda: "likes" in tail.text, 60, "the like; what is deleted before it is read has no text any more")
            client.delete(first)
            client.quote("Words", "Somebody")
            until(lambda: "Somebody" in tail.text, 60, "the quote")
    told = [line[7:] for line in tail.text.splitlines()]
    assert told == [
        "Teller: one", "Teller: uno", "Teller: two", "lines", f"#{first} is now: uno",
        f"#{first} has 1 likes, 0 dislikes", f"#{first} was deleted", "“Words” – Somebody",
    ]  # fmt: skip
    assert "\x1b" not in tail.text


def test_tail_ends_with_its_pipe(server: Running) -> None:
    """`tail | head -1`: when nobody reads any more it ends, with 0 and without a word."""
    line = " ".join(quotechat("tail", "-n", "1", "--json", "--since", "0", "--transport", "stream"))
    command = f"{{ {line}; echo code $? >&2; }} | head -1"
    env = environment(QUOTECHAT_URL=server.url)
    with Client(server.url, user="Ada") as client:
        client.post("for the pipe")
        process = subprocess.Popen(
            ["bash", "-c", command], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        stop = threading.Event()

        def speak() -> None:
            while not stop.wait(0.1):
                client.post("more")

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            out, complaints = process.communicate(timeout=120)
        finally:
            stop.set()
            speaker.join()
    assert json.loads(out)["seq"] == 1
    assert complaints == "code 0\n"


@pytest.mark.parametrize("arguments", [["@inbox"], ["@inbox", "--json"], ["@audit"]], ids=" ".join)
def test_tail_says_in_one_line_that_it_may_not(server: Running, arguments: list[str]) -> None:
    """Without a token there is no inbox and no log of administration: an error and exit code 1, no traceback."""
    done = run(server, "tail", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_tail_needs_a_cursor_to_go_on_from(server: Running) -> None:
    """Anything else is wrong usage, exit code 2, before the server is asked."""
    done = run(server, "tail", "--since", "yesterday")
    assert (done.returncode, done.stdout) == (2, "") and "--since" in done.stderr


def test_quote(server: Running) -> None:
    """Added, found by its words, and one by chance; no find is exit code 1."""
    assert run(server, "quote", "add", "Festina lente.", "--author", "Augustus").returncode == 0
    found = run(server, "quote", "search", "lente", "augustus")
    assert found.stdout == "Festina lente.\n  – Augustus\n"
    assert json.loads(run(server, "quote", "--json").stdout)["author"]
    assert run(server, "quote", "search", "nobodyeversaidthis").returncode == 1


def test_rooms_are_completed(server: Running) -> None:
    """A shell gets the names of the rooms; from a server that is away, none and no error. It waits for two seconds."""
    with Client(server.url) as client:
        client.create_room("tea-kitchen", "Tea")
    env = {"_QUOTECHAT_COMPLETE": "bash_complete", "COMP_WORDS": "quotechat tail te", "COMP_CWORD": "2"}
    command = ["-c", "from quotechat.cli import main; main(prog_name='quotechat')"]
    for url, expected in ((server.url, "plain,tea-kitchen\n"), ("http://127.0.0.1:9", "\n")):
        for _ in range(10):  # a busy machine may need longer than it waits
            done = subprocess.run(
                [*quotechat()[:1], *command], env=environment(QUOTECHAT_URL=url, **env), capture_output=True, text=True,
                timeout=180, check=False,
            )  # fmt: skip
            if done.stdout == expected:
                break
        assert (done.stdout, done.stderr) == (expected, "")
