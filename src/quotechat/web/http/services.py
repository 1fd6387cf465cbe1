"""The parts of an application that its views use, in one typed object; `app` makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, current_app

from ...config import Settings
from ...hub.chat import Chat
from ...live.downloads import Downloads
from ...live.reactor import Reactor

if TYPE_CHECKING:
    from flask import Response

    from ...live.repeats import Repeats
    from ..api.metrics import Metrics
    from ..transports.held_rooms import RoomsPolls
    from ..transports.parking import ParkedPolls
    from ..transports.sending import SenderContext
    from .authentication import Services as Accounts
    from .security import Keys

_KEY = "quotechat.services"


@dataclass
class Services:
    """Those of one application. A part that is made by the ``install`` of its module is there from then on."""

    chat: Chat
    settings: Settings
    prefix: str
    """The path below which everything is, without the last slash."""
    identify: Callable[[], Any]
    """Returns the user of the application around us, within a request."""
    reactor: Reactor
    downloads: Downloads
    stream: Callable[..., Response]
    """Answers a poll that asks for a stream: transports do not import each other."""
    accounts: Accounts = field(init=False)
    keys: Keys = field(init=False)
    parked_polls: ParkedPolls = field(init=False)
    rooms_polls: RoomsPolls = field(init=False)
    sent: Repeats[SenderContext] = field(init=False)
    metrics: Metrics = field(init=False)
    openapi: dict[str, Any] | None = None
    """The document of the API, made when it is first asked for."""

    def put(self, app: Flask) -> None:
        """Give them to `app`."""
        app.extensions[_KEY] = self


def services_of(app: Flask) -> Services:
    """Return the services of `app`."""
    return cast(Services, app.extensions[_KEY])


def services() -> Services:
    """Return the services of the current application."""
    return cast(Services, current_app.extensions[_KEY])
