"""Files of messages: they arrive, some at a time, are looked at, and are read by those that may read their room.

Here live the rights to a file, and the steps by which one becomes complete. A child process (`quotechat.preview`)
cleans a picture and makes its thumbnail before the file is complete; the file is there even if that fails.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..config import Settings
from ..protocol import commands, names
from ..protocol.errors import (
    FileUnknown,
    Forbidden,
    NotFound,
    ParameterInvalid,
    QuotaFull,
    Refused,
    RoomUnknown,
    StorageFull,
    TooLarge,
    Unauthenticated,
)
from ..protocol.files import media, movies, tags
from ..protocol.rights.principal import Principal
from ..store.base import Write
from ..store.files import blobs, contents, sweeping, uploads
from ..store.files.blobs import Blobs
from ..store.files.bucket import StorageUnavailable
from ..store.files.contents import Content, Places, places_of
from ..store.files.uploads import Bounds, File, Made
from ..store.shapes import Sql
from .chat import Chat

log = logging.getLogger(__name__)

_CHILDREN = 2
"""Pictures that a worker looks at at once."""
_CHILD_SECONDS = 15.0
_AT_ONCE = 20
"""Contents that one transaction removes."""
_ABANDONED_EVERY, _LOST_EVERY = 60.0, 86_400.0
_OBJECTS_AFTER = 30.0
"""Seconds until a bucket that was unavailable is asked again to remove objects."""
_FULL = 28
"""The status with which the child ends if the disk is full."""
_ROOT = Path(__file__).resolve().parents[2]


class Files:
    """`store` is None if this server keeps no files; `guests` is whether visitors may upload."""

    def __init__(
        self, chat: Chat, store: Blobs | None, places: Places, bounds: Bounds, *,
        guests: bool = False, keep_metadata: bool = False,
    ) -> None:  # fmt: skip
        self._chat = chat
        self._blobs = store
        self._places = places
        self.bounds = bounds
        self._guests = guests
        self._keep_metadata = keep_metadata
        self._children = threading.BoundedSemaphore(_CHILDREN)
        self._abandoned_at = self._lost_at = time.monotonic() + _ABANDONED_EVERY
        self._objects_at = 0.0
        if store is not None:
            chat.keep_house(self.step)

    @property
    def is_on(self) -> bool:
        """Return True if this server keeps files."""
        return self._blobs is not None

    def may_upload(self, by: Principal) -> bool:
        """Return True if `by` may upload to the rooms in which it may write."""
        return self.is_on and by.identity is not None and (by.is_known or by.role != "visitor" or self._guests)

    # --- In -----------------------------------------------------------------------------------------

    def begin(
        self, by: Principal, room: str, name: str, length: int | None, *, address: str = "", proof: bytes | None = None
    ) -> str:
        """Return the id of a file that is to arrive in `room`, of `length` bytes if that is known.

        Raises as a message sent there, and Unauthenticated, Forbidden, TooLarge, QuotaFull, RateLimited.
        """
        self._on()
        if by.identity is None:
            self._chat.open(by, room)
            raise Unauthenticated("Files need an identity: a cookie or a bearer token.")
        if not self.may_upload(by):
            self._chat.open(by, room)
            raise Forbidden("Visitors upload no files here.")
        self._chat.limits.allow("upload", by.identity, address)
        write = self._write(by, room, address, proof)
        cleaned = names.clean_file(name)
        return self._chat.write_with(lambda sql: uploads.begin(sql, write, cleaned, length, self.bounds))

    def write(self, by: Principal, file_id: str, offset: int, blocks: Iterable[bytes]) -> int:
        """Add `blocks` to an upload; return how many bytes have come. Raises as `Blobs.append`, TooLarge, QuotaFull.

        An exception of `blocks` itself passes through, and the bytes before it stay.
        """
        file = self._arriving(by, file_id)
        if file.length is not None:
            return self._on().append(file.id, offset, _bounded(blocks, min(self.bounds.file, file.length) - offset))
        try:
            return self._on().append(file.id, offset, _bounded(blocks, self.bounds.file - offset))
        finally:
            self._count(file)  # a body that is broken off has come too

    def state(self, by: Principal, file_id: str) -> tuple[File, int]:
        """Return a file of `by` and how many bytes of it have come. Raises FileUnknown."""
        file = self._own(by, file_id)
        return file, (file.length or 0) if file.hash is not None else self._on().received(file.id)

    def finish(self, by: Principal, file_id: str, *, address: str = "", proof: bytes | None = None) -> File:
        """Let an upload be complete, if `by` may still upload there: its bytes may have come for minutes.

        Raises as `begin`, and ParameterInvalid if bytes are missing, StorageFull.
        """
        file, received = self.state(by, file_id)
        if file.hash is not None:
            return file
        if file.length is not None and received != file.length:
            raise ParameterInvalid(f"{received} bytes have come, and {file.length} were announced.", "Upload-Complete")
        return self._finish(file._replace(length=received), self._write(by, file.room, address, proof))

    def remove(self, by: Principal, file_id: str) -> None:
        """Remove a file that was not sent. Raises FileUnknown, Conflict."""
        file = self._own(by, file_id)
        self._chat.write_with(lambda sql: uploads.cancel(sql, file))
        self._on().discard(file.id)
        self.step()

    # --- Out ----------------------------------------------------------------------------------------

    def open(self, by: Principal, file_id: str, *, thumb: bool = False) -> tuple[File, Content]:
        """Return a file, or its thumbnail, to read. Raises FileUnknown, also if `by` may not read it."""
        self._on()

        def work(sql: Sql) -> tuple[File, Content | None]:
            file = uploads.find(sql, file_id)
            if not file.is_sent and not uploads.is_of(sql, file, by.identity):
                raise FileUnknown()
            wanted = file.thumb if thumb else file.hash
            return file, None if wanted is None else contents.find(sql, self._places, self._chat, wanted)

        file, content = self._chat.read_with(work)
        self._visible(by, file)
        if content is None:
            raise FileUnknown()
        return file, content

    def content(self, digest: bytes) -> Content | None:
        """Return a content by its hash, without a check of rights; None if it does not exist or is unavailable."""
        try:
            return self._chat.read_with(lambda sql: contents.find(sql, self._places, self._chat, digest))
        except StorageUnavailable:
            return None

    # --- Housekeeping -------------------------------------------------------------------------------

    def step(self) -> bool:
        """Remove some contents that no file has any more; return True if there may be more."""
        store, now = self._on(), time.monotonic()
        if now >= self._abandoned_at:
            self._abandoned_at = now + _ABANDONED_EVERY
            for upload in self._chat.write_with(lambda sql: uploads.drop_abandoned(sql, self._chat.now())):
                store.discard(upload)
        if now >= self._lost_at:
            self._lost_at = now + _LOST_EVERY
            with contextlib.suppress(StorageUnavailable):
                self.sweep()
        if not self._chat.read_with(contents.are_dropped):
            return False
        more = self._chat.write_with(lambda sql: contents.remove_dropped(sql, store.folder, _AT_ONCE)) == _AT_ONCE
        return self._remove_objects(now) or more

    def sweep(self) -> int:
        """Remove all bytes that belong to no file; return how many contents and rests those were."""
        self._on()
        return sweeping.remove_all(self._places, self._chat, self._chat.now())

    def _remove_objects(self, now: float) -> bool:
        if now < self._objects_at:
            return False
        try:
            return contents.remove_objects(self._chat, self._places, _AT_ONCE) == _AT_ONCE
        except StorageUnavailable:
            self._objects_at = now + _OBJECTS_AFTER
            return False

    # --- Inside -------------------------------------------------------------------------------------

    def _on(self) -> Blobs:
        if self._blobs is None:
            raise NotFound("This server keeps no files.")
        return self._blobs

    def _own(self, by: Principal, file_id: str) -> File:
        """Return a file that `by` uploaded, to a room that it may read. Raises FileUnknown."""
        self._on()

        def work(sql: Sql) -> File:
            file = uploads.find(sql, file_id)
            if not uploads.is_of(sql, file, by.identity):
                raise FileUnknown()
            return file

        file = self._chat.read_with(work)
        self._visible(by, file)
        return file

    def _count(self, file: File) -> None:
        """Let the bytes that have come of an upload of unknown length count; it ends if they are too many."""
        received = self._on().received(file.id)
        try:
            self._chat.write_with(lambda sql: uploads.grow(sql, file, received, self.bounds))
        except QuotaFull:
            self._chat.write_with(lambda sql: uploads.give_up(sql, file))
            self._on().discard(file.id)
            raise

    def _arriving(self, by: Principal, file_id: str) -> File:
        file = self._own(by, file_id)
        if file.hash is not None:
            raise blobs.WrongOffset(file.length or 0)
        return file

    def _visible(self, by: Principal, file: File) -> None:
        try:
            self._chat.open(by, file.room)
        except RoomUnknown:
            raise FileUnknown() from None

    def _write(self, by: Principal, room: str, address: str, proof: bytes | None) -> Write:
        """Return the message without text whose rights an upload has."""
        command = commands.SendMessage(message=commands.NewMessage(user=by.name or "", message=""), room=room)
        return Write(command, self._chat.now(), by.identity, proof, address=address or None)

    def _finish(self, file: File, write: Write) -> File:
        """Complete an upload, once: a repeat may come while the first request is at it, or is just done."""
        with self._on().completing(file.id):
            now = self._chat.read_with(lambda sql: uploads.find(sql, file.id))
            staged = list[blobs.Staged]()
            try:
                return now if now.hash is not None else self._complete(file, write, staged)
            except FileNotFoundError:  # it was removed this moment
                raise FileUnknown() from None
            except Refused as refused:
                if refused.code in ("quota-full", "too-large"):
                    self._chat.write_with(lambda sql: uploads.give_up(sql, file))
                raise
            finally:
                self._tidy(file.id, staged)

    def _complete(self, file: File, write: Write, staged: list[blobs.Staged]) -> File:
        store = self._on()
        made = self._finish_file(file, store.local(file.id), staged)
        # In a transaction of its own: the lock of the room is not held while the contents are stored.
        self._chat.write_with(lambda sql: uploads.check(sql, write))

        def work(sql: Sql) -> File:
            sql.alone("blob")
            done = uploads.find(sql, file.id)
            if done.hash is not None:  # by another machine
                return done
            done = uploads.finish(sql, file, made, self.bounds)
            for each in staged:
                store.put(sql, each)
            return done

        return self._chat.write_with(work)

    def _tidy(self, file_id: str, staged: list[blobs.Staged]) -> None:
        """Remove temporary files, and all of an upload that is complete or was cancelled."""
        store = self._on()
        for ending in blobs.SUFFIXES:
            (store.folder / "arriving" / f"{file_id}{ending}").unlink(missing_ok=True)
        store.unstage(staged)
        row = self._chat.read_with(lambda sql: sql.one("SELECT hash FROM file WHERE id = ?", file_id))
        if row is None or row[0] is not None:
            store.discard(file_id)

    def _finish_file(self, file: File, source: Path, staged: list[blobs.Staged]) -> Made:
        """Read the received bytes; return the finished file, and add its contents on the disk to `staged`."""
        store = self._on()
        with open(source, "rb") as opened:
            head = opened.read(media.HEAD_BYTES)
        kind = media.kind(head)
        found: dict[str, Any] = {}
        clean, thumb = (source.with_name(source.name + ending) for ending in blobs.SUFFIXES)
        is_cleaned = kind in (*media.PICTURES, *tags.KINDS) or movies.is_movie(head)
        if is_cleaned:
            with self._children:
                found = look_at(source, clean, thumb)
        if is_cleaned and not found.get("clean"):
            kind = media.OTHER  # no browser should try what we could not read
        cleaned = bool(found.get("clean")) and not self._keep_metadata
        whole = store.stage(file.id, clean if cleaned else source)
        staged.append(whole)
        small = None
        if found.get("thumb"):
            small = store.stage(file.id, thumb)
            staged.append(small)
        return Made(
            kind, whole.size, whole.hash, small and small.hash, found.get("width"), found.get("height")
        )


def open_files(chat: Chat, settings: Settings) -> Files:
    """Return the files of a server with these settings. Raises SettingsError."""
    places = places_of(settings)
    store: Blobs | None = None
    if settings.files_in != "off":
        in_database = settings.files_in == "database" or (settings.files_in == "s3" and settings.database)
        store = (blobs.Database if in_database else blobs.Directory)(places.folder, chat)
    if store is not None and settings.files_in == "s3":
        store = blobs.InBucket(store, places.object_store(), chat, chat.now)
    bounds = Bounds(settings.file_bytes, settings.account_files_bytes, settings.all_files_bytes)
    return Files(
        chat, store, places, bounds, guests=settings.guest_files, keep_metadata=settings.keep_metadata
    )


def look_at(source: Path, clean: Path, thumb: Path) -> dict[str, Any]:
    """Clean a picture and make its thumbnail, in a child process; return its findings up to its end."""
    child = subprocess.Popen(
        [sys.executable, "-s", "-P", "-m", "quotechat.preview", str(source), str(clean), str(thumb)],
        env={"PYTHONPATH": str(_ROOT), "PATH": os.defpath}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said, _ = child.communicate(timeout=_CHILD_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        said, _ = child.communicate()
    if child.returncode == _FULL:
        raise StorageFull()
    if child.returncode:
        log.info("a picture was not decoded: the child ended with %d", child.returncode)
    found: dict[str, Any] = {}
    for line in said.splitlines():
        found |= json.loads(line)
    return found


def _bounded(blocks: Iterable[bytes], most: int) -> Iterable[bytes]:
    for block in blocks:
        most -= len(block)
        if most < 0:
            raise TooLarge("That is more than was announced, or than a file may have.")
        yield block
