"""Answers of pages: a page that no cache keeps, and redirects to another page."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from flask import Response, make_response, redirect, request

from ....protocol.errors import ClientIdReused, Refused, Unauthenticated
from ...http import problems, site


def page(template: str, refused: Refused | None = None, **about: Any) -> Response:
    """Render a page; if the server refused a form, with its problem and the fields as they were typed."""
    problem = told(refused)
    draft: Mapping[str, str] = {} if refused is None else request.form
    return answered(site.render_template(template, **{"problem": problem, "draft": draft, **about}), refused)


def told(refused: Refused | None) -> dict[str, Any] | None:
    """Return what a page says of a refusal."""
    if refused is None:
        return None
    # Such as a form that a browser has gone back to, and that was filled in anew.
    again = "This form has sent something else before. Send it again: it is another one now."
    return problems.body(refused) | ({"detail": again} if isinstance(refused, ClientIdReused) else {})


def form_id(refused: Refused | None) -> str:
    """Return the number under which what a form sends is stored once.

    After a refusal it is the same, since the server may not know if it has stored it; but not if something else is
    stored under it, since it would be refused for ever.
    """
    kept = "" if refused is None or isinstance(refused, ClientIdReused) else request.form.get("client_id", "")
    return kept or secrets.token_hex(16)


def answered(html: str, refused: Refused | None = None) -> Response:
    """Answer with a page: status 200, or that of the refusal.

    The page shows the present state, so no cache may keep it.
    """
    answer = make_response(html, 200 if refused is None else problems.status(refused))
    answer.headers["Cache-Control"] = "no-store"
    retry = None if refused is None else problems.retry_after(refused)
    if retry is not None:
        answer.headers["Retry-After"] = retry
    return answer


def to(path: str) -> Response:
    """Redirect the browser to `path`, by GET (303, RFC 9110 §15.4.4)."""
    answer = make_response(redirect(path, 303))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def to_sign_in(refused: Unauthenticated) -> Response:
    """Redirect a caller without an account to the page to sign in, if there is one."""
    if not site.has("account_pages.sign_in"):
        return problems.response(refused)
    there = site.here()
    return to(site.url_for("account_pages.sign_in", next=None if there == "/" else there))
