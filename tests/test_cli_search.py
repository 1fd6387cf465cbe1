"""``quotechat search`` as people type it, the Python client's search, and the index made anew beside a server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import Running, environment, finished, quotechat, running

from quotechat.client import Client, Invalid
from quotechat.config import Settings
from quotechat.protocol import commands
from quotechat.protocol.rights.principal import Principal
from quotechat.protocol.search import question
from quotechat.store.base import Write
from quotechat.store.open import open_index, open_store
from quotechat.store.search.asking import Search


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Running]:
    env = environment(QUOTECHAT_LIMITS="off")
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as found:
        with Client(found.url, user="Ada") as client:
            for number in range(30):
                client.post(f"tea number {number}")
            client.post("a quick brown fox")
        yield found


def run(server: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = environment(QUOTECHAT_URL=server.url)
    return finished(quotechat("search", *arguments), env=env)


def test_words_are_found_in_a_terminal(server: Running) -> None:
    """Lines or JSON, the newest first; 1 if there is none, or the question cannot be asked."""
    found = run(server, "tea", "-n", "2")
    assert found.returncode == 0, found.stderr
    assert [line.rpartition(" ")[2] for line in found.stdout.splitlines()] == ["29", "28"]
    line = json.loads(run(server, "--json", "quick brown", "-tea").stdout)
    assert line["message"]["message"] == "a quick brown fox" and line["marks"] == [[2, 11]]
    assert run(server, "nowhere").returncode == 1
    refused = run(server, "on:today")
    assert refused.returncode == 1 and "today is no date" in refused.stderr


def test_a_program_pages_through_hits(server: Running) -> None:
    """`before` of one page gives the next; a question that cannot be asked is an exception."""
    with Client(server.url) as client:
        seen: list[int] = []
        before, more = None, True
        while more:
            page = client.search("tea", limit=13, before=before)
            seen += [hit["message"]["id"] for hit in page["hits"]]
            before, more = page.get("before"), page["has_more"]
        assert seen == list(range(30, 0, -1))
        assert client.search("brown quick in:lobby", best=True)["hits"][0]["message"]["id"] == 31
        with pytest.raises(Invalid) as refused:
            client.search("-tea")
        assert refused.value.field == "q"


def test_the_index_is_made_anew_beside_a_server(server: Running, data: Path) -> None:
    """The server's indexer does it, since it has the lock; without a server the command does."""
    rebuilt = subprocess.run(
        quotechat("search", "rebuild", "--data", str(data)), capture_output=True, text=True, timeout=180
    )
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "31 events are indexed" in rebuilt.stdout
    assert not (data / "search.rebuild").exists()
    with Client(server.url) as client:
        assert len(client.search("tea", limit=50)["hits"]) == 30


@pytest.mark.parametrize(("kind", "kills"), [("sqlite", 3), ("postgres", 1)])
def test_killed_while_it_indexes_nothing_is_lost_or_wrong(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, kills: int
) -> None:
    """`kill -9` at any step: the next process goes on from the position that was stored, and misses nothing."""
    build = (
        "import sys; from pathlib import Path; from quotechat.config import Settings\n"
        "from quotechat.store.open import open_index, open_store\n"
        "from quotechat.store.search.following import follow\n"
        "settings = Settings(data=Path(sys.argv[1]), database=sys.argv[2])\n"
        "store = open_store(settings); index = open_index(settings, store); more = True\n"
        "while more:\n"
        "    done = index.step(lambda log, writer: follow(log, writer, 3)); more = done is None or done.more\n"
        "    print(done, flush=True)\n"
    )
    database = request.getfixturevalue("new_tables")() if kind == "postgres" else ""
    settings = Settings(data=tmp_path, database=database)
    _fill(settings)
    command = [sys.executable, "-c", build, str(tmp_path), settings.database]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
    rest = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert rest.returncode == 0, rest.stderr
    assert _found(settings) == [f"tea {number}" for number in reversed(range(120))]


def _fill(settings: Settings) -> None:
    store = open_store(settings)
    store.found(1)
    said = (commands.SendMessage(message=commands.NewMessage("Ann", f"tea {number}")) for number in range(120))
    store.commit([Write(each, 1_000_000 + place, "ann") for place, each in enumerate(said)])
    store.close()


def _found(settings: Settings) -> list[str]:
    with closing(open_store(settings)) as store, closing(open_index(settings, store)) as index:
        search = Search(store, index, question.parse("tea"), Principal(None))
        answer = search.newest(None, 500, lambda: False)
        with index.reading() as reader:
            assert reader is not None and reader.places()[1].seq == 120
    return [hit["message"]["message"] for hit in answer["hits"]]
