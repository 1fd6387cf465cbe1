"""Conditional requests (RFC 9110 §13.1.2), and links to the next page (RFC 8288).

A tag is made of all that an answer depends on, the head of the log, the parameters and the caller, and not of the
answer. So a 304 costs one look at the head. Messages stay `no-store` all the same: a cache on a disk would
keep deleted texts (RFC 9111 §5.2.2.5), and a program that keeps an answer itself needs no leave of a cache's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from . import site

_FORM = 1
"""To be raised when the same log is shown in another form: a tag must not outlive an upgrade that changes answers."""


def tag(*depends: Any) -> str:
    """Return the entity tag, without quotes, of an answer that depends on these; an identity cannot be read from it."""
    return hashlib.blake2b(repr((_FORM, request.path, *depends)).encode(), digest_size=12).hexdigest()


def unchanged(found: str) -> Response | None:
    """Return 304 if the client has the answer with this tag, else None."""
    if not request.if_none_match.contains_weak(found):
        return None
    return marked(Response(status=304), found)


def marked(answer: Response, found: str) -> Response:
    """Return `answer` with its tag; `Vary` names its other causes to caches that do store."""
    answer.set_etag(found)
    answer.headers["Cache-Control"] = "no-store"
    answer.vary.update(["Authorization", "Cookie"])
    return answer


def next_page(answer: Response, path: str | None = None, **changed: Any) -> Response:
    """Return `answer` with a link to the next page: the same request but for these parameters, at `path` or here."""
    answer.headers["Link"] = next_link(path)(**changed)
    return answer


def next_link(path: str | None = None) -> Callable[..., str]:
    """Makes the value of `Link` from the parameters that change, also when this request is over."""
    query = {name: values[0] for name, values in request.args.lists()}
    target = site.base() + path if path else request.script_root + request.path
    return lambda **changed: f'<{target}?{urlencode({**query, **changed})}>; rel="next"'
