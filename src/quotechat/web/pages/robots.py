"""Tell crawlers to read nothing. All rooms of a server without passwords are public to them.

Every answer says ``noindex`` besides (`security`), for those that come all the same.
"""

from __future__ import annotations

from flask import Blueprint, Response

blueprint = Blueprint("robots", __name__)


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Ask all crawlers to stay away (RFC 9309)."""
    return Response("User-agent: *\nDisallow: /\n", content_type="text/plain; charset=utf-8")
