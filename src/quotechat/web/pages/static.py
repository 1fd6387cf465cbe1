"""Serve style sheets, scripts and images. Under an address with the hash of their content caches keep them."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_from_directory

from ... import assets

FOR_GOOD = "public, max-age=31536000, immutable"
"""Kept for a year, without a new request when a page is reloaded (RFC 8246)."""


_TYPES = {"speculation.json": "application/speculationrules+json"}
"""Media types that the extension of a file does not tell."""


def install(scope: Blueprint) -> None:
    """Serve the static files of `scope`."""
    scope.add_url_rule("/static/<path:filename>", "static", _file)


def _file(filename: str) -> Response:
    """Serve a file for a page of another version of this server, as it is here; caches do not keep it."""
    version, _, rest = filename.partition("/")
    name = rest if version.startswith("v-") else filename
    answer = _answer(name)
    if name in _TYPES:
        answer.mimetype = _TYPES[name]
    answer.headers["Cache-Control"] = FOR_GOOD if version == assets.version() else "no-cache"
    return answer


def _answer(name: str) -> Response:
    made = assets.made(name)
    answer = _text(name, made) if made is not None else send_from_directory(assets.static_dir(), name)
    if not assets.is_text(name):
        return answer
    answer.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] and answer.status_code == 200 and "Range" not in request.headers:
        return _zipped(name, answer)
    return answer


def _zipped(name: str, plain: Response) -> Response:
    """Return the answer compressed. These files hold no secret that their compressed length could reveal."""
    plain.close()
    answer = Response(assets.zipped(name), content_type=plain.content_type)
    answer.content_encoding = "gzip"
    answer.vary.add("Accept-Encoding")
    return _with_etag(answer)


def _text(name: str, made: bytes) -> Response:
    return _with_etag(Response(made, mimetype="text/css" if name.endswith(".css") else "text/javascript"))


def _with_etag(answer: Response) -> Response:
    answer.add_etag()
    answer.make_conditional(request)
    return answer
