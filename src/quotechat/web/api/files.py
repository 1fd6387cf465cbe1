"""Files over HTTP: uploads, whole or in pieces (draft-ietf-httpbis-resumable-upload), and reading, with ranges."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from urllib.parse import quote

from flask import Blueprint, Response, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from ...hub.chat import Chat
from ...hub.files import Files
from ...live import handoff
from ...live.downloads import while_allowed
from ...protocol.errors import (
    FileUnknown,
    ParameterInvalid,
    Refused,
    TooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from ...protocol.files import media
from ...protocol.rights.principal import Principal
from ...protocol.types import file_types as types
from ...store.files.blobs import WrongOffset
from ...store.files.contents import Content
from ...store.files.uploads import File
from ..http import access, authentication, parameters, problems, security, site
from ..http.services import services
from ..spec.described import described
from ..transports.downloading import AT_ONCE_BYTES, DownloadResponse, can_hand_over
from .messages import live

blueprint = Blueprint("files", __name__, url_prefix="/api/v1")

PARTIAL = "application/partial-upload"
_BLOCK = 64 * 1024
_SECONDS = 86_400
_WHOLE = re.compile(r"[0-9]{1,15}")
_MEDIA = (*sorted(media.SHOWN), media.OTHER)
_READ = ("room-unknown", "file-unknown", "not-found", "rate-limited", "overloaded")
_WRITE = ("forbidden", "conflict", "quota-full", "too-large", "unsupported-media-type", *_READ)


class BrokenOff(OSError):
    """The body ended too early: its bytes may be kept."""


@blueprint.post("/rooms/<room>/files")
@described(
    answers={201: types.Uploaded}, query=("file_name",), problems=_WRITE, binary="application/octet-stream",
    writes=True, limit="upload", identity="needed",
)  # fmt: skip
def create(room: str) -> Response:
    """Upload a file, for a message in this room: the body is the file → 201 {`file`}.

    Or begin one: with `Upload-Complete: ?0`, and `Upload-Length` if that is known, the body is its first part, and
    the next ones go to `Location`.
    """
    _check_encoding()
    complete, announced = _complete(default=True), request.content_length
    length = _number("Upload-Length")
    if complete and length is None:
        length = announced
    elif complete and announced not in (None, length):
        raise ParameterInvalid("The body is not as long as Upload-Length says.", "Upload-Length")
    name = parameters.one("name") or ""
    files, by = _files(), security.principal()
    _chat().check_accepting(access.first_byte_at())
    with upload_place():
        file_id = files.begin(by, room, name, length, address=security.address(), proof=authentication.proof())
        try:
            received = _receive(file_id, 0)
            if complete:
                return _finished(file_id)
        except (Refused, OSError):
            # Its sender does not know the id with which to go on.
            with contextlib.suppress(Refused):
                files.remove(by, file_id)
            raise
    return _located(live({}, 201), file_id, received, complete=False)


@blueprint.patch("/files/<file_id>")
@described(
    answers={201: types.Uploaded, 204: None}, problems=_WRITE, binary=PARTIAL, writes=True,
    identity="needed",
)  # fmt: skip
def append(file_id: str) -> Response:
    """Add the next part of an upload: `Upload-Offset` is how much was there before → 204.

    With `Upload-Complete: ?1` it is the last one → 201 {`file`}. Another offset is 409 `conflict`, with the right one
    in `Upload-Offset`.
    """
    if request.mimetype not in ("", PARTIAL, "application/octet-stream"):
        raise UnsupportedMediaType(f"The body is {PARTIAL}.")
    _check_encoding()
    offset, complete = _number("Upload-Offset"), _complete()
    if offset is None:
        raise ParameterInvalid("Upload-Offset says how many bytes were there before.", "Upload-Offset")
    files, by = _files(), _uploader()
    _chat().check_accepting(access.first_byte_at())
    file, received = files.state(by, file_id)
    if file.hash is not None and complete and offset == received and not request.content_length:
        return _finished(file_id)  # it is here, and only the answer was lost
    if (request.content_length or 0) > (files.bounds.file if file.length is None else file.length) - offset:
        raise TooLarge("That is more than was announced, or than a file may have.")
    try:
        with upload_place():
            received = _receive(file_id, offset)
            if complete:
                return _finished(file_id)
    except WrongOffset as fault:
        answer = problems.response(fault)
        answer.headers["Upload-Offset"] = str(fault.received)
        return answer
    answer = Response(status=204)
    answer.headers["Cache-Control"] = "no-store"
    return _located(answer, file_id, received, complete=False)


@blueprint.delete("/files/<file_id>")
@described(
    answers={204: None}, problems=("file-unknown", "not-found", "conflict", "rate-limited"), writes=True,
    identity="needed",
)
def remove(file_id: str) -> Response:
    """End an upload, or remove a file that was not sent."""
    _files().remove(_uploader(), file_id)
    return Response(status=204, headers={"Cache-Control": "no-store"})


@blueprint.get("/files/<file_id>")
@described(
    answers={200: str, 204: None, 206: str}, problems=_READ, media=_MEDIA, conditional=True, ranges=True,
    identity="optional",
)
def read(file_id: str) -> Response:
    """Read a file of a room that one may read; one that waits for its message, if one uploaded it.

    HEAD tells how much has come of an upload: 204 and `Upload-Offset`.
    """
    if request.method == "HEAD":
        with contextlib.suppress(FileUnknown):
            file, received = _files().state(security.principal(), file_id)
            if file.hash is None:
                answer = Response(status=204, headers={"Cache-Control": "no-store"})
                if file.length is not None:
                    answer.headers["Upload-Length"] = str(file.length)
                return _located(answer, file_id, received, complete=False)
            answer = _content(*_files().open(security.principal(), file_id), file.type)
            return _located(answer, file_id, received, complete=True)
    file, content = _files().open(security.principal(), file_id)
    return _content(file, content, file.type)


@blueprint.get("/files/<file_id>/thumb")
@described(
    answers={200: str, 206: str}, problems=_READ, media=("image/webp",), conditional=True, ranges=True,
    identity="optional",
)
def thumb(file_id: str) -> Response:
    """Read the small picture of a file."""
    return _content(*_files().open(security.principal(), file_id, thumb=True), "image/webp")


# --- In ---------------------------------------------------------------------------------------------


def _uploader() -> Principal:
    """Return the caller. Raises Unauthenticated for one without identity, which can have no upload."""
    by = security.principal()
    if by.identity is None:
        raise Unauthenticated("Files need an identity: a cookie or a bearer token.")
    return by


def _receive(file_id: str, offset: int) -> int:
    try:
        return _files().write(security.principal(), file_id, offset, blocks())
    except BrokenOff:
        raise ParameterInvalid("The body is broken off; what came is kept.", "Content-Length") from None


def blocks() -> Iterator[bytes]:
    """Yield the body of the request, some at a time. Raises BrokenOff."""
    given = handoff.of(request.environ)
    if given is not None and given.proceed is not None:
        given.proceed()
    source, left = request.environ["wsgi.input"], request.content_length
    while left is None or left > 0:
        try:
            block = source.read(_BLOCK if left is None else min(_BLOCK, left))
        except (ParseException, NoMoreData, OSError) as fault:
            raise BrokenOff(str(fault)) from fault
        if not block:
            break
        if left is not None:
            left -= len(block)
        yield block
    if left:
        raise BrokenOff("the body is shorter than its Content-Length says")


def _finished(file_id: str) -> Response:
    file = _files().finish(
        security.principal(), file_id, address=security.address(), proof=authentication.proof()
    )
    return _located(live({"file": file.shown()}, 201), file_id, file.length or 0, complete=True)


def _located(answer: Response, file_id: str, received: int, *, complete: bool) -> Response:
    answer.headers["Location"] = site.url_for("files.read", file_id=file_id)
    answer.headers["Upload-Offset"] = str(received)
    answer.headers["Upload-Complete"] = "?1" if complete else "?0"
    answer.headers["Upload-Limit"] = f"max-size={_files().bounds.file}, max-age={_SECONDS}"
    return answer


@contextlib.contextmanager
def upload_place() -> Iterator[None]:
    """Hold one of the places for uploads, each of which has a thread. Raises RateLimited, Overloaded."""
    limits, who = _chat().limits, security.client()
    limits.enter("upload", *who)
    try:
        yield
    finally:
        limits.leave("upload", *who)


def _check_encoding() -> None:
    """Raise UnsupportedMediaType for a body in another form than the file has: as it is, it would be kept so."""
    if request.headers.get("Content-Encoding"):
        raise UnsupportedMediaType("Files are taken as they are, without a Content-Encoding.")


def _complete(*, default: bool | None = None) -> bool:
    text = request.headers.get("Upload-Complete")
    if text is None and default is not None:
        return default
    if text not in ("?0", "?1"):
        raise ParameterInvalid("Upload-Complete is ?1 for the last part, else ?0.", "Upload-Complete")
    return text == "?1"


def _number(name: str) -> int | None:
    text = request.headers.get(name)
    if text is not None and not _WHOLE.fullmatch(text):
        raise ParameterInvalid(f"{name} is a number of bytes.", name)
    return None if text is None else int(text)


# --- Out --------------------------------------------------------------------------------------------


def _content(file: File, content: Content, kind: str) -> Response:
    tag = f'"{(file.hash or b"").hex()[:32]}{"" if kind == file.type else "-t"}"'
    headers = {
        "Content-Type": kind,
        "Content-Disposition": disposition(file.name, inline=kind in media.SHOWN),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "no-store",
        "ETag": tag,
        "Accept-Ranges": "bytes",
    }
    if request.if_none_match.contains_weak(tag.strip('"')):
        return Response(status=304, headers={name: headers[name] for name in ("Cache-Control", "ETag")})
    status, start, stop = 200, 0, content.size
    asked = request.range
    if asked is not None and request.headers.get("If-Range", tag) == tag:
        status, (start, stop) = 206, _part(asked.ranges[0], content.size)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    return _answer(status, headers, content, start, stop, _right(file))


def _part(asked: tuple[int, int | None], size: int) -> tuple[int, int]:
    """Return start and stop of a range; one from the end that is longer than the file is all of it (RFC 9110 §14.1.2).

    Raises RequestedRangeNotSatisfiable.
    """
    start, stop = asked
    start = max(0, size + start) if start < 0 else start
    if start >= size:
        raise RequestedRangeNotSatisfiable(length=size)
    return start, size if stop is None else min(stop, size)


def _right(file: File) -> Callable[[], bool]:
    """Return a function that asks if the caller may still read `file`, for another thread."""
    by, accounts = security.principal(), authentication.services()

    def may() -> bool:
        try:
            now = by if by.account is None else accounts.credentials.current([by])[by]
            if now is not None:
                accounts.files.open(now, file.id)
            return now is not None
        except FileUnknown:
            return False
        except Refused:
            return True  # the store is unavailable: it is asked again

    return may


def _answer(
    status: int, headers: dict[str, str], content: Content, start: int, stop: int, may: Callable[[], bool]
) -> Response:
    if request.method == "HEAD":
        return Response(status=status, headers=headers | {"Content-Length": str(stop - start)})
    try:
        first = content.begin(start, stop) if content.is_far else b""
        if stop - start <= AT_ONCE_BYTES:
            return Response(b"".join((first, *content.blocks(start + len(first), stop))), status, headers)
    except FileNotFoundError:
        raise FileUnknown() from None  # it was removed this moment
    if not can_hand_over():
        body = while_allowed(chain((first,), content.blocks(start + len(first), stop)), may)
        return Response(body, status, headers | {"Content-Length": str(stop - start)})
    who = security.client()
    _chat().limits.enter("download", *who)
    left = partial(_chat().limits.leave, "download", *who)
    return DownloadResponse(services().downloads, status, headers, content, start, stop, left, first, may)


def disposition(name: str, *, inline: bool) -> str:
    """Return the value of `Content-Disposition` (RFC 6266) for a file of that name."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _files() -> Files:
    return authentication.services().files


def _chat() -> Chat:
    return services().chat
