"""Find templates and static files, however quotechat was installed.

In a wheel they lie inside the package; in a checkout, and in an editable installation of one, they
lie beside ``src``. An editable installation does not map folders without ``__init__.py``
(setuptools issues 4248, 4943), so ``importlib.resources`` finds them in the one case only.
"""

from __future__ import annotations

from pathlib import Path

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
