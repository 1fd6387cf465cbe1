"""Read the fields of a settings form that its user has changed, so that only those are saved.

Beside each field the form has a hidden one, `was-NAME`, with the value that the page showed. A form that was loaded an
hour ago so does not undo what others have set since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flask import request


def changed(now: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of the form that differ from what it showed; of one that does not say so, from `now`."""
    form = request.form
    return {
        name: form[name]
        for name, value in now.items()
        if name in form and form[name].strip() != form.get(f"was-{name}", value).strip()
    }


def ticked(names: Iterable[str]) -> dict[str, bool]:
    """Return the boxes of the form that were ticked or cleared in it, `was-NAME` being `1` or empty."""
    form = request.form
    was = {name: form[f"was-{name}"] == "1" for name in names if f"was-{name}" in form}
    return {name: name in form for name in was if (name in form) != was[name]}
