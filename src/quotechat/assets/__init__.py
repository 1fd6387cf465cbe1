"""Find templates and static files, however quotechat was installed, and name them as they are now.

In a wheel they lie inside the package; in a checkout, and in an editable installation of one, they
lie beside ``src``. An editable installation does not map folders without ``__init__.py``
(setuptools issues 4248, 4943), so ``importlib.resources`` finds them in the one case only.
"""

from __future__ import annotations

import gzip
import re
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path

from ..in_turn import in_turn
from . import joining

_PACKAGE = Path(__file__).resolve().parent.parent
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
JOINED = "joined"
"""The folder of joined modules: ``joined/main/js/main.js`` is ``js/main.js`` with all that it imports."""
_FRAME = "js/frame.js"


@in_turn
@cache
def version() -> str:
    """Return a name for the static files as they are: another one if any of them is another.

    Addresses that have it in them can be kept for good. Modules import each other by relative addresses, so one name
    stands for all of them, and for how they are joined.
    """
    found = blake2b(Path(joining.__file__).read_bytes(), digest_size=8)
    for path in sorted(static_dir().rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found.update(b"%s %d\n%s" % (path.relative_to(static_dir()).as_posix().encode(), len(content), content))
    return f"v-{found.hexdigest()}"


def made(name: str) -> bytes | None:
    """Return a static file that is made of others: the sheet of the frame, or joined modules. None if it is neither."""
    if name == SHEET:
        return _sheet()
    folder, _, rest = name.partition("/")
    page, _, module = rest.partition("/")
    if folder != JOINED or not {f"js/{page}.js", module} <= _modules():
        return None
    return _module(f"js/{page}.js", module)


@in_turn
@lru_cache(maxsize=512)
def zipped(name: str) -> bytes:
    """Return a static file as `gzip` makes it, once. Raises FileNotFoundError."""
    # Without the time, which would make it another one in each worker.
    return gzip.compress(made(name) or (static_dir() / name).read_bytes(), mtime=0)


def is_text(name: str) -> bool:
    """Return True for a static file that `gzip` makes much smaller."""
    return name.endswith((".css", ".js", ".json", ".svg", ".txt", ".webmanifest"))


def joined(script: str | None) -> str:
    """Return the name of the file with the modules of the frame and of a page's own script: ``js/main.js``."""
    script = script or _FRAME
    return f"{JOINED}/{script.removeprefix('js/').removesuffix('.js')}/{script}"


@in_turn
@cache
def _sheet() -> bytes:
    css = static_dir() / "css"
    parts = [(css / f"{name}.css").read_text("utf-8") for name in SHEETS]
    whole = "\n".join([*parts, "@media print {", (css / "print.css").read_text("utf-8"), "}\n"])
    # Comments and indents would be a sixth of the answer.
    return re.sub(r"/\*.*?\*/|(?<=\n)\s+", "", whole, flags=re.S).encode()


@in_turn
@cache
def _modules() -> frozenset[str]:
    return frozenset(path.relative_to(static_dir()).as_posix() for path in static_dir().glob("js/**/*.js"))


@in_turn
@lru_cache(maxsize=512)
def _module(page: str, name: str) -> bytes:
    """Return all modules of a page as one, or one that it loads later."""
    entries = [_FRAME] if page == _FRAME else [_FRAME, page]
    if name == page:
        return joining.joined(entries, _read).encode()
    return joining.later(name, _read(name), joining.graph(entries, _read), page).encode()


def _read(name: str) -> str:
    return (static_dir() / name).read_text("utf-8")
