"""Passwords: hashed with argon2id, a few at a time, so that guessing them cannot take the whole machine."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from ...protocol.errors import Invalid, Overloaded

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MOST_BYTES = 1000
_AT_ONCE = 2
_MOST_WAITING = 16
_LOOKED_AT = 72
"""Characters that the estimate of strength reads; its work grows with the square."""
_STRONG = 3
"""The least score of zxcvbn: more than 10^8 guesses."""


class Passwords:
    """Hashes and checks passwords; `least` is the least number of characters of a new one."""

    def __init__(self, least: int = 10) -> None:
        self._least = least
        self._running = threading.BoundedSemaphore(_AT_ONCE)
        self._places = threading.BoundedSemaphore(_AT_ONCE + _MOST_WAITING)

    def check(self, password: object, *known: str) -> str:
        """Return `password` if it is hard to guess for a person who knows the words `known`. Raises Invalid."""
        if not isinstance(password, str):
            raise Invalid("password", "password is missing, or no text.")
        if len(password) < self._least:
            raise Invalid("password", f"A password has at least {self._least} characters.")
        if len(_encoded(password)) > MOST_BYTES:
            raise Invalid("password", f"A password has at most {MOST_BYTES} bytes.")
        with self._place():
            _check_strength(password, [word for word in known if word])
        return password

    def hash(self, password: str) -> str:
        """Return the hash to keep of a password: a PHC string. Raises Overloaded."""
        with self._place():
            return str(_hasher().hash(_encoded(password)))

    def matches(self, kept: str | None, password: str) -> bool:
        """Return True if `kept` was made of `password`; None takes as long as any. Raises Overloaded."""
        from argon2.exceptions import Argon2Error, InvalidHashError

        given = _encoded(password)
        with self._place():
            try:
                right = bool(_hasher().verify(kept or _of_nobody(), given[:MOST_BYTES]))
            except (Argon2Error, InvalidHashError):
                right = False
        return right and kept is not None and len(given) <= MOST_BYTES

    def is_weak(self, kept: str) -> bool:
        """Return True if it was hashed with weaker parameters than new ones are."""
        return bool(_hasher().check_needs_rehash(kept))

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Overloaded(1000, "Too many passwords are being checked; try again in a moment.")
        try:
            with self._running:
                yield
        finally:
            self._places.release()


@cache
def _hasher() -> PasswordHasher:
    # Imported late: a server without accounts never does. The parameters are OWASP's (Password Storage Cheat Sheet).
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _of_nobody() -> str:
    """Return the hash that is verified for an unknown name, so that it takes the same time."""
    return str(_hasher().hash(b"the password of nobody"))


def _encoded(password: str) -> bytes:
    # A lone surrogate cannot be typed, but it can stand in JSON.
    return password.encode("utf-8", "surrogatepass")


def _check_strength(password: str, known: list[str]) -> None:
    from zxcvbn import zxcvbn

    found = zxcvbn(password[:_LOOKED_AT], user_inputs=known)
    if found["score"] < _STRONG:
        why = found["feedback"]["warning"] or "This password is easy to guess."
        raise Invalid("password", f"{why.rstrip('.')}. Choose one that is harder to guess, such as several words.")
