"""Answers of pages: a page that no cache keeps, and redirects to another page."""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, redirect, request

from ....protocol.errors import Refused, Unauthenticated
from ...http import problems, site


def page(template: str, refused: Refused | None = None, **about: Any) -> Response:
    """Render a page; if the server refused a form, with its problem and the fields as they were typed."""
    problem = None if refused is None else problems.body(refused)
    return answered(site.render_template(template, **{"problem": problem, "draft": request.form, **about}), refused)


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
    return to(site.url_for("account_pages.sign_in", next=site.path()))
