"""The place of the chat in an application: its prefix, and its templates.

The application may be another's. So links are made here, from endpoints under one blueprint, and pages
with an environment of our own: its templates may have the same names as ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import flask
from flask import current_app, request
from jinja2 import Environment, FileSystemLoader

from ... import assets
from ...in_turn import in_turn
from ...protocol import json
from .services import services

NAME = "quotechat"
"""The blueprint that all of ours hang under."""

_filters: dict[str, Callable[..., Any]] = {}
_globals: dict[str, Callable[..., Any]] = {}
_rendered: set[str] = set()
"""The templates that this process has rendered, and thus compiled."""
_first_rendering = threading.RLock()


def url_for(endpoint: str, **values: Any) -> str:
    """Return the address of an endpoint of ours, such as ``pages.auto``; that of a static file names its content."""
    if endpoint == "static":
        values["filename"] = f"{assets.version()}/{values['filename']}"
    return flask.url_for(f"{NAME}.{endpoint}", **values)


def has(endpoint: str) -> bool:
    """Return True if there is an endpoint of ours: inside another application, some are not."""
    return f"{NAME}.{endpoint}" in current_app.view_functions


def is_here(endpoint: str) -> bool:
    """Return True if this request is for that endpoint of ours."""
    return request.endpoint == f"{NAME}.{endpoint}"


def base() -> str:
    """Return the path under which everything of ours is, for clients: "" at the root, else such as ``/chat``."""
    return request.script_root + _prefix()


def path() -> str:
    """Return the path of this request below `base`."""
    return request.path.removeprefix(_prefix())


def here() -> str:
    """Return path and query of this request below `base`, to come back to; "/" for a form, which nobody can read."""
    if request.method not in ("GET", "HEAD"):
        return "/"
    query = request.query_string.decode("latin-1")
    return path() + (f"?{query}" if query else "")


def render_template(template: str, **context: Any) -> str:
    """Render a page of ours."""
    if template in _rendered:
        return _environment().get_template(template).render(context)
    # The first time it is compiled, with all that it includes: one thread does so, and the others wait for it.
    with _first_rendering:
        text = _environment().get_template(template).render(context)
    _rendered.add(template)
    return text


def template_filter(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give our templates a filter."""

    def register(filter_: Callable[..., Any]) -> Callable[..., Any]:
        _filters[name] = filter_
        return filter_

    return register


def template_global(name: str, function: Callable[..., Any]) -> None:
    """Give our templates a function."""
    _globals[name] = function


@in_turn
@cache
def _environment() -> Environment:
    environment = Environment(autoescape=True, loader=FileSystemLoader(assets.templates_dir()))
    environment.globals.update(url_for=url_for, base=base, has=has, is_here=is_here, joined=assets.joined, **_globals)
    # Each message stands in the page as JSON too, and the standard encoder takes longer than all else.
    environment.policies["json.dumps_function"] = _dumped
    environment.filters.update(_filters)
    return environment


def _dumped(value: Any, **_: Any) -> str:
    return json.dumps(value).decode()


def _prefix() -> str:
    return services().prefix
