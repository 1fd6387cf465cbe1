"""quotechat: a chat server that loses no message, over polling, streams or WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from quotechat.app import QuoteChat as QuoteChat
    from quotechat.app import User as User
    from quotechat.config import Settings

__version__ = "0.1.0"
__all__ = ["QuoteChat", "User", "__version__", "create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application; `settings` left out means those of the environment.

    Raises quotechat.config.SettingsError if a setting is wrong.
    """
    # Imported late: `import quotechat.protocol` must not cost Flask and a database.
    from quotechat.app import create_app as build

    return build(settings)


def __getattr__(name: str) -> Any:
    # Late for the same reason.
    if name == "QuoteChat":
        from quotechat.app import QuoteChat

        return QuoteChat
    if name == "User":
        from quotechat.app import User

        return User
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
