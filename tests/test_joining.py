"""Joined modules: what a page runs is what stands in the files, in the order of a browser, each module once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quotechat import assets
from quotechat.assets import joining

SCRIPT = re.compile(r'{% set script = "(js/\w+\.js)"')
PAGES = sorted({found for path in assets.templates_dir().glob("*.html") for found in SCRIPT.findall(path.read_text())})
#: What a page may load later stands in the graph of none, so each is joined alone here.
PURE = [
    path
    for path in assets.static_dir().glob("js/**/*.js")
    if f"js/{path.name}" not in {*PAGES, "js/frame.js", "js/types.js"}
]

MODULES = {
    "js/main.js": """import { two as second } from "./b/two.js";
import { one } from "./one.js";
globalThis.seen = second() + one;
export const load = () => import("./later/three.js");
""",
    "js/one.js": """import * as two from "./b/two.js";
export const one = two.two() + 1;
""",
    "js/b/two.js": """export function two() {
  return 2;
}
export const { length, name } = two;
const hidden = 3;
export { hidden };
""",
    "js/later/three.js": """import { one } from "../one.js";
import { four } from "./four.js";
export const three = one + four;
""",
    "js/later/four.js": "export const four = 4;\n",
}


def reader(modules: dict[str, str]) -> Callable[[str], str]:
    return modules.__getitem__


def node(script: str, folder: Path) -> str:
    """What a script prints; the browser tests need no node, so it may be missing on a developer's machine."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(script)
    return subprocess.run(["node", "ask.js"], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_modules_run_in_the_order_of_a_browser_and_once(tmp_path: Path) -> None:
    """One that comes later shares what the page has, and brings what it has not."""
    read = reader(MODULES)
    inside = joining.graph(["js/main.js"], read)
    assert inside == ["js/b/two.js", "js/one.js", "js/main.js"]
    (tmp_path / "js" / "later").mkdir(parents=True)
    (tmp_path / "js/main.js").write_text(joining.joined(["js/main.js"], read))
    for name in ("js/later/three.js", "js/later/four.js"):
        (tmp_path / name).write_text(joining.later(name, read(name), inside, "js/main.js"))
    told = node(
        'const { $main, $b_two } = await import("./js/main.js");\n'
        "const { three } = await $main.load();\n"
        "console.log(JSON.stringify([globalThis.seen, three, Object.keys($b_two)]));",
        tmp_path,
    )
    assert json.loads(told) == [5, 7, ["two", "length", "name", "hidden"]]


@pytest.mark.parametrize(
    "text",
    [
        "export default 1;\n",
        "export let changing = 1;\n",
        'export { one } from "./one.js";\n',
        'export { one as two };\n',
        'import "./one.js";\n',
        'import one from "./one.js";\n',
        'import { one } from "bare";\n',
        'const late = import("./one.js");\nimport { one } from "./one.js";\n',
        'import { main } from "./main.js";\n',
        'const sheet = new URL("../one.css", import.meta.url);\n',
    ],
)  # fmt: skip
def test_any_other_form_is_refused(text: str) -> None:
    """And a module that imports itself, one that is imported both at once and later, and one that asks where it is."""
    modules = {"js/main.js": text, "js/one.js": "export const one = 1;\n"}
    with pytest.raises(joining.JoiningError):
        joining.joined(["js/main.js"], reader(modules))


def test_no_module_asks_where_it_is() -> None:
    """One that a page loads later is at another address than its file, and what it would find beside it is not."""
    with pytest.raises(joining.JoiningError):
        joining.later("js/one.js", 'new URL("../one.css", import.meta.url);\n', [], "js/main.js")
    assert [path.name for path in assets.static_dir().glob("js/**/*.js") if "import.meta" in path.read_text()] == []


def test_a_joined_module_exports_what_it_exports_alone(tmp_path: Path) -> None:
    """Of every module that needs no page, as node reads both."""
    static = assets.static_dir()

    def read(name: str) -> str:
        return (static / name).read_text("utf-8")

    names = [path.relative_to(static).as_posix() for path in sorted(PURE)]
    names = [name for name in names if not re.search(r"^document\.|^const \w+ = document", read(name), re.M)]
    for number, name in enumerate(names):
        # In a folder as deep as the module's own.
        (tmp_path / f"{number}.js").write_text(joining.joined([name], read))
    told = node(
        f"const names = {json.dumps(names)};\nconst static_ = {json.dumps(f'{static.as_uri()}/')};\n"
        "const found = [];\n"
        "for (const [number, name] of names.entries()) {\n"
        "  const alone = Object.keys(await import(static_ + name)).sort();\n"
        "  const space = '$' + name.slice(3, -3).replaceAll('/', '_');\n"
        "  const joined = Object.keys((await import(`./${number}.js`))[space]).sort();\n"
        "  if (JSON.stringify(alone) !== JSON.stringify(joined)) found.push([name, alone, joined]);\n"
        "}\n"
        "console.log(JSON.stringify(found));",
        tmp_path,
    )
    assert json.loads(told) == [] and len(names) > 80


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_one_file(page: str) -> None:
    """Which can be read, and needs no other at once."""
    text = (assets.made(assets.joined(page)) or b"").decode()
    assert f"// {page}\n" in text and "// js/frame.js\n" in text
    assert not re.search(r"^import\b", text, re.M)


@pytest.mark.parametrize(
    "name", ["joined/none/js/main.js", "joined/main/../setup.cfg", "joined/main/css/base.css", "joined/"]
)
def test_nothing_else_is_joined(name: str) -> None:
    """Only modules that are there, by their own names."""
    assert assets.made(name) is None
