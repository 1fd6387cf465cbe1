"""The one file of a form without JavaScript: read from a multipart body, and uploaded for its message."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flask import request
from werkzeug.datastructures import FileStorage

from ....hub.chat import Chat
from ....protocol.errors import Refused
from ...api.files import upload_place
from ...http import authentication, security
from ...http.services import services

_MOST_PARTS = 20
_BLOCK = 64 * 1024


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Allow a form with a file to be larger than others; it takes a place among the uploads while it is read."""
    if request.mimetype != "multipart/form-data":
        yield
        return
    settings = services().settings
    with upload_place():
        request.max_content_length = settings.file_bytes + settings.body_bytes
        request.max_form_memory_size, request.max_form_parts = settings.body_bytes, _MOST_PARTS
        yield


class Uploaded(NamedTuple):
    """The form's file, completely received, with its description from the form."""

    id: str
    alt: str
    contents: str
    """A hash of its contents, as they came."""

    def client_id(self, form: Mapping[str, str]) -> dict[str, object]:
        """Return the `client_id` of its message, which only the same form has: with the same words and the same file.

        The number of the form alone does not tell: a browser that goes back shows it again, to be changed.
        """
        if not form.get("client_id"):
            return {}
        typed = [sorted(form.items()), request.files["file"].filename, self.contents]
        return {"client_id": hashlib.blake2b(json.dumps(typed).encode(), digest_size=16).hexdigest()}

    def fields(self) -> dict[str, Any]:
        """Return the field `files` of its message."""
        return {"files": [{"id": self.id, "alt": self.alt}]}


def upload(room: str) -> Uploaded | None:
    """Upload the form's file for a message in `room`; return None if it has none. Raises Refused."""
    found = request.files.get("file")
    if found is None or not (found.filename or "").strip():
        return None
    contents = hashlib.blake2b(digest_size=16)
    with upload_place():  # a picture may be looked at for long
        file_id = _completed(room, found, contents)
    return Uploaded(file_id, request.form.get("alt", ""), contents.hexdigest())


def _completed(room: str, found: FileStorage, contents: hashlib.blake2b) -> str:
    """Return the id of the file, which is complete. Raises Refused, and then nothing of it is left."""
    files, by = authentication.services().files, security.principal()
    file_id = files.begin(
        by, room, found.filename or "", None, address=security.address(), proof=authentication.proof()
    )
    try:
        files.write(by, file_id, 0, _blocks(found, contents))
        files.finish(by, file_id, address=security.address(), proof=authentication.proof())
    except Refused:
        _remove(file_id)
        raise
    return file_id


def take_back(uploaded: Uploaded | None) -> None:
    """Remove the file of a message that was refused."""
    if uploaded is not None:
        _remove(uploaded.id)


def may() -> bool:
    """Return True if the caller may upload, also before it has the identity that its first page brings."""
    by = security.principal()
    return authentication.services().files.may_upload(by._replace(identity=by.identity or "to come"))


def _remove(file_id: str) -> None:
    with contextlib.suppress(Refused):
        authentication.services().files.remove(security.principal(), file_id)


def _blocks(found: FileStorage, contents: hashlib.blake2b) -> Iterator[bytes]:
    while block := found.stream.read(_BLOCK):
        contents.update(block)
        yield block


def _chat() -> Chat:
    return services().chat
