"""Style sheets, scripts and images. Under an address that names their content they are kept for good."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_from_directory

from ... import assets

FOR_GOOD = "public, max-age=31536000, immutable"
"""A year, and not asked for again when a page is loaded anew (RFC 8246)."""


def install(scope: Blueprint) -> None:
    """Serve the static files of `scope`."""
    scope.add_url_rule("/static/<path:filename>", "static", _file)


def _file(filename: str) -> Response:
    """A page of another version of this server finds the file too, as it is here; that is not kept."""
    version, _, rest = filename.partition("/")
    answer = _found(rest if version.startswith("v-") else filename)
    answer.headers["Cache-Control"] = FOR_GOOD if version == assets.version() else "no-cache"
    return answer


def _found(name: str) -> Response:
    if name != assets.SHEET:
        return send_from_directory(assets.static_dir(), name)
    answer = Response(assets.sheet(), content_type="text/css; charset=utf-8")
    answer.add_etag()
    answer.make_conditional(request)
    return answer
