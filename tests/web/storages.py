"""Buckets for tests: a folder in place of the storage, and with QUOTECHAT_TEST_S3 (its address) the storage itself."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from quotechat.config import Settings
from quotechat.protocol.errors import Refused
from quotechat.store.files import bucket

ENDPOINT = os.environ.get("QUOTECHAT_TEST_S3", "")
KEY, SECRET = "chat:files", "not-a-secret"


class Folder(bucket.Bucket):
    """Objects as files of a folder; `fault` is raised by each call while it is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Settings(bucket="folder"))
        self._folder = folder
        self.fault: Refused | None = None

    def keys(self) -> set[str]:
        return {path.name for path in self._folder.iterdir()}

    def put(self, key: str, path: Path) -> None:
        self._check()
        self._path(key).write_bytes(path.read_bytes())

    def read(self, key: str, start: int, stop: int) -> bytes:
        self._check()
        return self._path(key).read_bytes()[start:stop]

    def whole(self, key: str) -> Iterator[bytes]:
        self._check()
        yield self._path(key).read_bytes()

    def remove(self, key: str) -> None:
        self._check()
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key.replace("/", "_")

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Let each call find no storage."""
        self.fault = bucket.StorageUnavailable()
        try:
            yield
        finally:
            self.fault = None


class Real(bucket.Bucket):
    """A bucket of the storage at `ENDPOINT`, made for the test."""

    def __init__(self) -> None:
        self._own = Settings(
            bucket=f"test-{secrets.token_hex(8)}/chat", bucket_endpoint=ENDPOINT, bucket_key=KEY, bucket_secret=SECRET
        )
        super().__init__(self._own)
        self._client().create_bucket(Bucket=self._name)

    def keys(self) -> set[str]:
        found = self._client().list_objects_v2(Bucket=self._name, Prefix=self._prefix)
        return {each["Key"] for each in found.get("Contents", ())}

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Let each call find no storage."""
        self._settings, self._made = replace(self._own, bucket_endpoint="http://127.0.0.1:1"), None
        try:
            yield
        finally:
            self._settings, self._made, self._rests_until = self._own, None, 0.0


def new(folder: Path) -> Folder | Real:
    """Return an empty bucket."""
    return Real() if ENDPOINT else Folder(folder)
