"""The house has floors: a module imports its own floor or a lower one, never up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"

FLOORS = {
    "quotechat.config": 0,
    "quotechat.assets": 0,
    "quotechat.logs": 0,
    "quotechat.refusal": 0,
    "quotechat.supervision": 0,
    "quotechat.outbound": 0,
    "quotechat.in_turn": 0,
    "quotechat.lab": 0,
    "quotechat.client": 0,
    "quotechat.doctor": 0,
    "quotechat.protocol": 1,
    "quotechat.preview": 2,
    "quotechat.store": 2,
    "quotechat.hub": 3,
    "quotechat.live": 4,
    "quotechat.web.http": 5,
    "quotechat.web.spec": 6,
    "quotechat.web.transports": 7,
    "quotechat.web.api": 8,
    "quotechat.web.pages": 9,
    "quotechat.web": 9,
    "quotechat.signals": 11,
    "quotechat.app": 11,
    "quotechat": 12,
    "quotechat.serving.arrival": 0,
    "quotechat.serving.beginning": 13,
    "quotechat.serving.figures": 13,
    "quotechat.serving.handing_over": 13,
    "quotechat.serving.handover": 13,
    "quotechat.serving.reliance": 0,
    "quotechat.serving.lingering": 13,
    "quotechat.serving.pacing": 13,
    "quotechat.serving.unparsed": 13,
    "quotechat.serving.draining": 14,
    "quotechat.serving.worker": 14,
    "quotechat.serving.hooks": 15,
    "quotechat.serving.server": 16,
    "quotechat.serving": 17,
    "quotechat.cli": 18,
    "quotechat.__main__": 19,
}
TRANSPORTS = {f"quotechat.web.transports.{name}" for name in ("polling", "websocket_peer", "streams")}
#: A decorator, which those that stand alone may use.
IN_TURN = "quotechat.in_turn"
ALONE = {
    *("quotechat.config", "quotechat.assets", "quotechat.logs", "quotechat.refusal"),
    *("quotechat.supervision", "quotechat.outbound", IN_TURN),
    *("quotechat.lab", "quotechat.client", "quotechat.doctor"),
}
#: Not for the ground floor, which knows no I/O, no clock and no thread.
WORLDLY = {"asyncio", "flask", "gunicorn", "socket", "sqlite3", "subprocess", "threading", "time"}
#: Not for the layer of live readers either.
FRAMEWORKS = {"flask", "flask_sock", "werkzeug"}


def module_of(file: Path, source: Path) -> str:
    """``src/quotechat/web/__init__.py`` → ``quotechat.web``."""
    parts = file.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> int:
    """The floor of a module: its own or its package's."""
    known = module
    while known not in FLOORS or (known == "quotechat" != module):
        assert "." in known, f"{module} is on no floor: give it one"
        known = known.rpartition(".")[0]
    return FLOORS[known]


def top_of(module: str) -> str:
    """``quotechat.client.wire`` → ``quotechat.client``."""
    return ".".join(module.split(".")[:2])


def imports(file: Path, module: str, modules: set[str]) -> Iterator[str]:
    """Full names of all that `file` imports, in functions too, but not for type checkers only."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in executed(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                # The version is a constant; whoever names it does not climb.
                if full != "quotechat.__version__":
                    yield full if full in modules else base


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from executed(node)


def faults(source: Path) -> list[str]:
    """Every import in `source` that breaks a rule of the house."""
    files = {module_of(file, source): file for file in sorted(source.glob("quotechat/**/*.py"))}
    found = []
    for module, file in files.items():
        for target in imports(file, module, set(files)):
            if target.split(".")[0] != "quotechat":
                if module.startswith("quotechat.protocol") and target.split(".")[0] in WORLDLY:
                    found.append(f"{module} imports {target}: the ground floor is pure")
                if module.startswith("quotechat.live") and target.split(".")[0] in FRAMEWORKS:
                    found.append(f"{module} imports {target}: live readers need no framework")
            elif top_of(module) in ALONE:
                if top_of(target) not in (top_of(module), IN_TURN):
                    found.append(f"{module} imports {target}: it stands alone")
            elif floor_of(target) > floor_of(module):
                found.append(f"{module} imports {target}: that is up")
            elif {module, target} <= TRANSPORTS and module != target:
                found.append(f"{module} imports {target}: transports do not know each other")
    return found


def test_no_import_climbs() -> None:
    """Every import in src keeps to the floors."""
    assert faults(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("store/sqlite/store.py", "from quotechat.hub import chat"),
        ("store/sqlite/store.py", "def late():\n    from ...hub.chat import Chat"),
        ("hub/chat.py", "import quotechat.web.transports.polling"),
        ("web/transports/polling.py", "from quotechat import create_app"),
        ("web/transports/polling.py", "from quotechat.web.transports import streams"),
        ("web/transports/polling.py", "from . import streams"),
        ("protocol/cursor.py", "import threading"),
        ("live/reactor.py", "from flask import Flask"),
        ("live/reactor.py", "from ..web.transports import polling"),
        ("config/settings.py", "from quotechat.protocol import cursor"),
        ("client/reader.py", "from ..protocol import cursor"),
    ],
)
def test_a_climbing_import_is_found(tmp_path: Path, file: str, line: str) -> None:
    """The check bites: each of these lines breaks a rule."""
    package = tmp_path / "quotechat"
    others = (*(f"web/transports/{name}.py" for name in ("__init__", "polling", "streams")), "protocol/cursor.py")
    for name in (*others, file):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    (package / file).write_text(line + "\n", "utf-8")
    assert len(faults(tmp_path)) == 1


@pytest.mark.parametrize(
    "line", ["from quotechat.protocol import cursor", "from quotechat import __version__", "import threading",
             "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from quotechat.app import create_app"],
)
def test_downward_imports_pass(tmp_path: Path, line: str) -> None:
    """What goes down, names the version or is for type checkers only is no fault."""
    (tmp_path / "quotechat" / "hub").mkdir(parents=True)
    (tmp_path / "quotechat" / "hub" / "chat.py").write_text(line + "\n", "utf-8")
    assert faults(tmp_path) == []


def test_each_test_file_has_a_name_of_its_own() -> None:
    """pytest imports test files by name alone: with two of one name, the whole suite is not collected."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_files_are_short() -> None:
    """No file of src has more than 400 lines."""
    home = SOURCE / "quotechat"
    lengths = {str(path.relative_to(home)): len(path.read_text("utf-8").splitlines()) for path in home.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_packages_are_small() -> None:
    """No package has more than 15 modules of its own."""
    sizes = {str(folder.parent): len(list(folder.parent.glob("*.py"))) - 1 for folder in SOURCE.rglob("__init__.py")}
    assert {name: size for name, size in sizes.items() if size > 15} == {}


def test_files_of_the_tests_have_names_of_their_own() -> None:
    """All folders of the tests are on one path: of two files with one name, both would be the one that came first."""
    names = [file.stem for file in Path(__file__).resolve().parent.rglob("*.py")]
    names = [name for name in names if name not in ("conftest", "__main__")]
    assert [name for name in set(names) if names.count(name) > 1] == []
