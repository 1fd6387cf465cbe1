"""Find templates and static files, however quotechat was installed, and name them as they are now.

In a wheel they lie inside the package; in a checkout, and in an editable installation of one, they
lie beside ``src``. An editable installation does not map folders without ``__init__.py``
(setuptools issues 4248, 4943), so ``importlib.resources`` finds them in the one case only.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from pathlib import Path
from posixpath import normpath

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent


def templates_dir() -> Path:
    """Return the directory of the Jinja templates. Raises FileNotFoundError if there is none."""
    return _first("templates")


def static_dir() -> Path:
    """Return the directory of style sheets, scripts and images. Raises FileNotFoundError if there is none."""
    return _first("static")


def _first(name: str) -> Path:
    candidates = [_PACKAGE / name, _CHECKOUT / name]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no {name}: looked for {' and '.join(map(str, candidates))}")


# --- Static files as pages name them ----------------------------------------------------------------

#: The style sheets of the frame, in the order of the cascade: pages load them as one.
SHEETS = ("tokens", "base", "layout", "column", "room", "timeline", "composer", "files")
SHEET = "pages.css"
"""The name of all `SHEETS` as one, and of the one for print."""
_IMPORT = re.compile(r'^(?:import|export) (?:[^"]*? from )?"(\.{1,2}/[^"]+)";', re.M)


@cache
def version() -> str:
    """Return a name for the static files as they are: another one if any of them is another.

    Addresses that have it in them can be kept for good. Modules import each other by relative addresses, so one name
    stands for all of them.
    """
    found = blake2b(digest_size=8)
    for path in sorted(static_dir().rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found.update(b"%s %d\n%s" % (path.relative_to(static_dir()).as_posix().encode(), len(content), content))
    return f"v-{found.hexdigest()}"


@cache
def sheet() -> bytes:
    """Return the style sheets of the frame as one."""
    css = static_dir() / "css"
    parts = [(css / f"{name}.css").read_text("utf-8") for name in SHEETS]
    whole = "\n".join([*parts, "@media print {", (css / "print.css").read_text("utf-8"), "}\n"])
    # Comments and indents would be a sixth of the answer.
    return re.sub(r"/\*.*?\*/|(?<=\n)\s+", "", whole, flags=re.S).encode()


@cache
def modules(*entries: str) -> tuple[str, ...]:
    """Return these modules and all that they import, such as ``js/main.js``, each once.

    A page that names them all spares its reader a round trip for each depth of imports.
    """
    found: dict[str, None] = {}
    waiting = list(entries)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = None
        text = (static_dir() / name).read_text("utf-8")
        waiting += [normpath(f"{name.rpartition('/')[0]}/{each}") for each in _IMPORT.findall(text)]
    return tuple(found)
