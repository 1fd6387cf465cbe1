"""What a process makes once, many first requests at once make once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from quotechat import assets, create_app
from quotechat.config import Settings
from quotechat.in_turn import in_turn
from quotechat.web.http import site
from quotechat.web.pages import lessons
from quotechat.web.spec import specs

THREADS = 12


def all_at_once(call: Callable[[], Any]) -> list[Any]:
    """Call `call` on many threads that begin together; return the results. Raises what any of them raised."""
    begin, results, faults = threading.Barrier(THREADS), [], []

    def run() -> None:
        begin.wait(30)
        try:
            results.append(call())
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    if faults:
        raise faults[0]
    assert len(results) == THREADS
    return results


def test_a_kept_value_is_made_once() -> None:
    """All threads get the value that one of them made while the others waited."""
    made: list[object] = []
    others = threading.Event()

    @in_turn
    @cache
    def value() -> object:
        made.append(object())
        # Long enough for the others to come: they would have made it by now.
        others.wait(0.2)
        return made[-1]

    assert all_at_once(value) == made * THREADS


def test_a_function_may_call_itself() -> None:
    """The lock is the thread's own while it is inside."""

    @in_turn
    def down(count: int) -> int:
        return count and down(count - 1)

    assert down(3) == 0


@pytest.mark.parametrize(
    "kept", [assets.version, assets._sheet, assets._modules, assets.zipped, assets._module, site._environment,
             specs._channels, lessons._steps],
)
def test_what_costs_milliseconds_is_made_in_turn(kept: Any) -> None:
    """Each function of the web that keeps what it makes is guarded: the cache is inside."""
    assert hasattr(kept.__wrapped__, "cache_info") and not hasattr(kept, "cache_info")


def test_static_files_are_read_once_for_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many first requests read each static file once, since all of their answers name the files' version."""
    read: Counter[Path] = Counter()
    read_bytes = Path.read_bytes

    def counting(path: Path) -> bytes:
        read[path] += 1
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    assets.version.__wrapped__.cache_clear()  # type: ignore[attr-defined]
    assert len(set(all_at_once(assets.version))) == 1
    assert read and set(read.values()) == {1}


def test_templates_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many first requests for a page compile each of its templates once."""
    compiled: Counter[str | None] = Counter()
    compile_one = Environment.compile

    def counting(self: Environment, source: Any, name: str | None = None, *args: Any, **named: Any) -> Any:
        compiled[name] += 1
        return compile_one(self, source, name, *args, **named)

    monkeypatch.setattr(Environment, "compile", counting)
    site._environment.__wrapped__.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(site, "_rendered", set())
    app = create_app(Settings(data=tmp_path))
    try:
        answers = all_at_once(lambda: app.test_client().get("/rooms/lobby").status_code)
    finally:
        app.extensions["quotechat"].close()
    assert set(answers) == {200}
    assert compiled["base.html"] == 1 and set(compiled.values()) == {1}
