"""Join the modules of a page into one file. Pure: names and texts in, text out.

A browser opens six connections to a server (HTTP/1.1), so a page of sixty modules waited for ten round trips. A joined
file is one request. In it every module is a function that is called once, in the order in which a browser runs
modules; its lines are those of its own file but for ``import`` and ``export``:

    // js/cursor.js
    export const $cursor = (() => {
    const seqOf = (cursor) => …
    return { seqOf };
    })();

A module that a page loads later takes the modules that both import from the joined file, so that each module exists
once. Modules keep to the few forms of ``import`` and ``export`` below; any other is refused here, and in a test. So is
``import.meta``: the address of a joined module is not that of its file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from posixpath import dirname, normpath, relpath

_LIST = r"\s*[\w$]+(?:,\s*[\w$]+)*,?\s*"
_FROM = r'from "(?P<source>\.{1,2}/[^"]+)";'
_IMPORT = re.compile(rf"^import (?P<names>\{{[^}}]*\}}|\* as \w+) {_FROM}", re.M)
_DECLARED = re.compile(
    rf"^export (?P<kind>async function\*?|function\*?|class|const) (?P<names>[\w$]+|\{{{_LIST}\}})", re.M
)
_LISTED = re.compile(rf"^export (?P<names>\{{{_LIST}\}});$", re.M)
_LATER = re.compile(r'(?<!\{)\bimport\("(?P<source>\.{1,2}/[^"]+)"\)')
_OTHER = re.compile(r"^(?:import|export)\b.*", re.M)
_PLACE = re.compile(r"^.*\bimport\.meta\b.*", re.M)


class JoiningError(ValueError):
    """A module has an ``import`` or ``export`` of another form, asks for its address, or imports itself in the end."""


def joined(entries: Iterable[str], read: Callable[[str], str]) -> str:
    """Return these modules, such as ``js/main.js``, and all that they import, as one module in the folder of the last.

    `read` returns the text of a module. Raises JoiningError.
    """
    names = list(entries)
    inside = graph(names, read)
    folder = dirname(names[-1])
    return "\n".join(_called(name, read(name), inside, folder) for name in inside)


def later(name: str, text: str, inside: Iterable[str], page: str) -> str:
    """Return the module `name` as a page loads it later that has the modules `inside` joined in `page`.

    Raises JoiningError.
    """
    shared = set(inside)

    def taken(found: re.Match[str]) -> str:
        source = _resolved(name, found["source"])
        if source not in shared:
            return found[0]
        address = relpath(page, dirname(name))
        address = address if address.startswith(".") else f"./{address}"
        return f'import {{ {_space(source)} }} from "{address}"; {_unpacked(found["names"], source)}'

    if place := _PLACE.search(text):
        raise JoiningError(f"{name}: {place[0]}")
    return _IMPORT.sub(taken, text)


def graph(entries: Iterable[str], read: Callable[[str], str]) -> list[str]:
    """Return these modules and all that they import, each after those that it imports: so browsers run them."""
    done: list[str] = []
    under_way: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in under_way:
            raise JoiningError(f"{name} imports itself, by {' and '.join(under_way)}")
        under_way.append(name)
        for found in _IMPORT.finditer(read(name)):
            visit(_resolved(name, found["source"]))
        done.append(under_way.pop())

    for entry in entries:
        visit(entry)
    return done


def _called(name: str, text: str, inside: list[str], folder: str) -> str:
    """Return a module as a function that is called, and whose result has its exports."""
    exported: list[str] = []

    def declared(found: re.Match[str]) -> str:
        exported.extend(_members(found["names"]))
        return f"{found['kind']} {found['names']}"

    def listed(found: re.Match[str]) -> str:
        exported.extend(_members(found["names"]))
        return ""

    def moved(found: re.Match[str]) -> str:
        source = _resolved(name, found["source"])
        if source in inside:
            raise JoiningError(f"{name} loads {source} later, which the page has at once")
        return f'import("./{relpath(source, folder)}")'

    text = _IMPORT.sub(lambda found: _unpacked(found["names"], _resolved(name, found["source"])), text)
    text = _LISTED.sub(listed, _DECLARED.sub(declared, text))
    text = _LATER.sub(moved, text)
    if other := _OTHER.search(text) or _PLACE.search(text):
        raise JoiningError(f"{name}: {other[0]}")
    result = f"return {{ {', '.join(exported)} }};" if exported else "return {};"
    return f"// {name}\nexport const {_space(name)} = (() => {{\n{text}{result}\n}})();\n"


def _unpacked(names: str, source: str) -> str:
    """Return the declaration for the names of an ``import``: ``{ a as b }`` or ``* as c``."""
    if names.startswith("*"):
        return f"const {names.removeprefix('* as ')} = {_space(source)};"
    return f"const {names.replace(' as ', ': ')} = {_space(source)};"


def _members(names: str) -> list[str]:
    return [name.strip() for name in names.strip("{}").split(",") if name.strip()]


def _resolved(name: str, source: str) -> str:
    """Return the path of the module that `name` imports as `source`."""
    return normpath(f"{dirname(name)}/{source}")


def _space(name: str) -> str:
    """Return the name that a module has in a joined file: ``$person_face`` of ``js/person/face.js``."""
    return "$" + name.partition("/")[2].removesuffix(".js").replace("/", "_")
