"""The roof: settings → store → hub → blueprints."""

from __future__ import annotations

from flask import Flask

from .assets import static_dir, templates_dir
from .config import Settings
from .hub.bell import Bell, SocketBell
from .hub.chat import Chat
from .hub.limits import Budget, Limits, Rate
from .protocol.commands import Bounds
from .store.open import open_store

_PATIENCE = 20.0
"""Seconds that a worker waits at its start for a database; gunicorn gives it 30 in all."""


def create_app(settings: Settings | None = None) -> Flask:
    """The application, with its own store and threads; ``app.extensions["quotechat"]`` is the `Chat`.

    `settings` default to the environment's (QUOTECHAT_…). Call it in the process that serves, after any
    fork. Raises SettingsError, and OSError where the data directory cannot be used.
    """
    settings = settings or Settings.from_env()
    app = Flask("quotechat", template_folder=str(templates_dir()), static_folder=str(static_dir()))
    app.config["QUOTECHAT"] = settings
    chat = open_chat(settings)
    app.extensions["quotechat"] = chat
    _install(app, settings, chat)
    chat.start()
    return app


def open_chat(settings: Settings) -> Chat:
    """The hub on the store that `settings` name; its threads are not started."""
    store = open_store(settings, patience=_PATIENCE)
    chat = Chat(
        store,
        _limits(settings),
        bell=_bell(settings),
        bounds=Bounds(
            settings.message_chars,
            settings.user_chars,
            settings.quote_chars,
            settings.author_chars,
            settings.schedule_days,
        ),
        held_polls=settings.held_polls,
        most_rooms=settings.most_rooms,
        dedupe_days=settings.dedupe_days,
    )
    store.found(chat.now())
    return chat


def _bell(settings: Settings) -> Bell:
    """What wakes the other workers, of this machine or of all."""
    if not settings.database:
        return SocketBell(settings.data / "bells")
    # Imported here: it needs quotechat[postgres].
    from .hub.notices import Notices
    from .store.channel import Channel

    direct = settings.listen_database or settings.database
    return Notices(lambda: Channel(direct, listen=True), lambda: Channel(settings.database))


def _install(app: Flask, settings: Settings, chat: Chat) -> None:
    # Imported late: quotechat.app is also what `quotechat verify` needs, without any of the web.
    from .web import (
        access,
        health,
        measure,
        messages,
        metrics,
        pages,
        parameters,
        parking,
        polling,
        problems,
        quota,
        quotes,
        reactor,
        reference,
        rooms,
        security,
        specs,
        streams,
        websocket,
    )  # fmt: skip

    problems.install(app)
    parameters.install(app)
    # What is registered first runs last: it counts the headers of the others.
    measure.install(app)
    access.install(app, settings)
    quota.install(app)
    security.install(app, settings, chat.secret())
    reactor.install(app, chat)
    parking.install(app, chat)
    metrics.install(app, chat)
    for module in (pages, rooms, messages, quotes, polling, health, specs, reference):
        app.register_blueprint(module.blueprint)
    websocket.install(app)
    # Polling negotiates; transports do not import each other.
    app.extensions["quotechat.streams"] = streams.stream


def _limits(settings: Settings) -> Limits:
    hour = 3600.0
    return Limits(
        {
            "message": Rate(settings.messages_burst, settings.messages_per_second),
            "room": Rate(settings.rooms_per_hour, settings.rooms_per_hour / hour),
            "guest": Rate(settings.guests_per_hour, settings.guests_per_hour / hour),
        },
        {
            "socket": Budget(settings.sockets_per_client, settings.sockets_per_worker),
            # Streams are sockets of the reactor; how many polls all may hold, the chat says with early answers.
            "poll": Budget(settings.polls_per_client, settings.sockets_per_worker),
            # Over it, messages are answered on threads: nobody is refused for it.
            "sender": Budget(settings.sockets_per_client, settings.sockets_per_worker),
        },
        per_client=settings.limits,
        per_address=settings.clients_per_address,
    )
