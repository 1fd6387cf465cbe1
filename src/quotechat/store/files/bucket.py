"""Contents as objects of an S3-compatible storage. boto3 is imported when the first one is read or written.

Each call waits for another machine, within bounds: none is made in a transaction. The answer of the storage is
logged by its code alone, never with a header or an address, so no key comes into a log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...config import Settings, SettingsError
from ...protocol.errors import Overloaded, StorageFull

log = logging.getLogger(__name__)

BLOCK_BYTES = 256 * 1024
"""Bytes that one request reads for a download: as many are in memory for each reader."""
_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 3.0, 10.0, 2
_RETRY_MS = 5000
_REST_SECONDS = 5.0
"""Seconds after a failure in which requests are refused at once instead of waiting for the storage."""
_PLACES, _PLACE_SECONDS = 12, 2.0
"""Requests of people that may wait for the storage at once in a process, and for how long one waits for its turn: the
other threads stay free, whatever becomes of the storage."""
_MISSING = frozenset({"NoSuchKey", "404"})
#: Swift says a full quota as a body that is too large; no body of ours is (`settings`).
_FULL = frozenset({"QuotaExceeded", "EntityTooLarge", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"})


class StorageUnavailable(Overloaded):
    """The bucket does not answer, or refuses us; nothing was stored."""

    def __init__(self) -> None:
        super().__init__(_RETRY_MS, "The storage of files is unavailable; ask again later.")


class Bucket:
    """The bucket that `settings` name, which may be used by any thread; each process connects for itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name, _, prefix = settings.bucket.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None
        self._places = threading.BoundedSemaphore(_PLACES)
        self._rests_until = 0.0

    def put(self, key: str, path: Path) -> None:
        """Store the file at `path` as `key`. Raises StorageFull, StorageUnavailable."""
        with self._asked("put"), open(path, "rb") as file:
            self._client().put_object(**self._named(key), Body=file, ContentType="application/octet-stream")

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes from `start` to `stop`, which are some. Raises FileNotFoundError, StorageUnavailable."""
        with self._asked("read"):
            answer = self._client().get_object(**self._named(key), Range=f"bytes={start}-{stop - 1}")
            with contextlib.closing(answer["Body"]) as body:
                data: bytes = body.read(stop - start + 1)
        if len(data) != stop - start:
            log.error("the bucket answered a read with %d bytes of %d", len(data), stop - start)
            raise StorageUnavailable()
        return data

    def blocks(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`, some by each request. Raises as `read`."""
        for at in range(start, stop, BLOCK_BYTES):
            yield self.read(key, at, min(stop, at + BLOCK_BYTES))

    def whole(self, key: str) -> Iterator[bytes]:
        """Yield a whole content by one request; an empty one is one block. Raises as `read`."""
        with self._asked("read"):
            answer = self._client().get_object(**self._named(key))
            with contextlib.closing(answer["Body"]) as body:
                block = body.read(BLOCK_BYTES)
                while True:
                    yield block
                    if not (block := body.read(BLOCK_BYTES)):
                        return

    def remove(self, key: str) -> None:
        """Remove `key`, which may have gone. Raises StorageUnavailable."""
        with contextlib.suppress(FileNotFoundError), self._asked("remove"):
            self._client().delete_object(**self._named(key))

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places for requests of people. Raises StorageUnavailable if all stay taken."""
        if not self._places.acquire(timeout=_PLACE_SECONDS):
            raise StorageUnavailable()
        try:
            yield
        finally:
            self._places.release()

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        if time.monotonic() < self._rests_until:
            raise StorageUnavailable()
        try:
            with _translated(what):
                yield
        except StorageUnavailable:
            self._rests_until = time.monotonic() + _REST_SECONDS
            raise

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._prefix + key}

    def _client(self) -> Any:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), _connect(self._settings)
            return self._made[1]


def bucket_of(settings: Settings) -> Bucket | None:
    """Return the bucket of a server; None if it has none. Raises SettingsError if boto3 is missing."""
    if not settings.bucket:
        return None
    if find_spec("boto3") is None:
        raise SettingsError("QUOTECHAT_BUCKET needs the client of S3: pip install 'quotechat[s3]'")
    return Bucket(settings)


def _connect(settings: Settings) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        # The storage compares what it got with a hash in the signature, also over TLS.
        s3={"addressing_style": "path" if settings.bucket_path_style else "virtual", "payload_signing_enabled": True},
        # Since 1.36 boto3 sends checksums as trailers, which many storages do not know.
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
        max_pool_connections=16,
    )  # fmt: skip
    return boto3.session.Session().client(
        "s3", endpoint_url=settings.bucket_endpoint or None, region_name=settings.bucket_region, config=config,
        aws_access_key_id=settings.bucket_key or None, aws_secret_access_key=settings.bucket_secret or None,
    )  # fmt: skip


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Translate exceptions of boto3 into refusals."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as fault:
        answer = fault.response
        codes = {str(answer.get("Error", {}).get("Code")), str(answer["ResponseMetadata"].get("HTTPStatusCode"))}
        if codes & _FULL:
            raise StorageFull() from None
        if what != "put" and codes & _MISSING and "NoSuchBucket" not in codes:
            raise FileNotFoundError("the object is missing") from None
        log.error("the bucket refused to %s: %s", what, ", ".join(sorted(codes)))
        raise StorageUnavailable() from None
    except (BotoCoreError, HTTPError) as fault:
        log.error("the bucket is unavailable to %s: %s", what, type(fault).__name__)
        raise StorageUnavailable() from None
