"""The roof: settings → store → hub → blueprints."""

from __future__ import annotations

import atexit
import importlib
import logging
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, Flask

from .config import Settings
from .hub.accounts.hosted import Hosted
from .hub.accounts.hosted import User as User
from .hub.background.notifier import Notifier, SocketNotifier
from .hub.budgets import descriptors
from .hub.budgets.buckets import Buckets, OwnBuckets, SharedBuckets
from .hub.budgets.limits import Budget, Limits, Rate
from .hub.chat import Chat
from .hub.webhooks.calls import OFF, policy
from .hub.webhooks.sender import Sender
from .protocol.commands import AddMember, Bounds, MemberId, MemberRole, NewMember, RemoveMember
from .signals import SignalSender
from .store.open import open_index, open_store

if TYPE_CHECKING:
    from .web.http.services import Services

log = logging.getLogger(__name__)

_ROOM_MAKERS = 2
"""Clients whose allowance of rooms one address may use up."""
_PATIENCE = 20.0
"""Seconds that a worker waits at its start for a database; gunicorn gives it 30 in all."""
_READERS = 10
"""Clients whose reads one address may have: reading takes time of the one machine, for any reader."""


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application, with its own store and threads; ``app.extensions["quotechat"]`` is the `Chat`.

    `settings` default to the environment's (QUOTECHAT_…). Call it in the process that serves, after any
    fork. Raises SettingsError, and OSError if the data directory cannot be used.
    """
    from .web.http import proxies

    settings = settings or Settings.from_env()
    app = Flask("quotechat", static_folder=None, template_folder=None)
    chat = QuoteChat(url_prefix="", settings=settings)
    chat._install(app, whole=True)
    proxies.install(app, settings)
    return app


def preload() -> None:
    """Import all that `create_app` will, so that processes forked later share it. Nothing is opened or started."""
    from . import live, web

    for package in (live, web):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # prometheus-client, which it imports, looks at once whether this process shares its figures.
            if not found.name.endswith(".metrics"):
                importlib.import_module(found.name)


Identified = User | str | tuple[str, str] | None
"""A `User`, an id, or an id and the author's name; None if no user is signed in."""

Identify = Callable[[], Identified]


class QuoteChat:
    """The chat inside a Flask application, under `url_prefix`.

    Everything else of the application stays as it is: error handlers, headers, session and configuration are
    its own, and its ``before_request`` functions guard the chat as they guard the rest. One per application;
    ``app.extensions["quotechat"]`` is the `Chat` (docs/how-to/embed.md).
    """

    def __init__(
        self, app: Flask | None = None, *, url_prefix: str = "/chat", settings: Settings | None = None
    ) -> None:
        if url_prefix and (not url_prefix.startswith("/") or url_prefix.endswith("/")):
            raise ValueError(f"url_prefix is such as /chat, not {url_prefix!r}")
        self._prefix = url_prefix
        self._settings = settings
        self._identify: Identify | None = None
        self._app: Flask | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put the chat into `app`, open its store and start its threads; they are closed at exit.

        Call it in the process that serves, after any fork. Raises SettingsError, and OSError if the data
        directory cannot be used.
        """
        self._install(app, whole=False)
        atexit.register(app.extensions["quotechat"].close)

    def identify(self, hook: Identify) -> Identify:
        """Decorator: `hook` returns the application's user, within the request: a `User`, an id, (id, name) or None.

        A `User` has an account here, with its role; it is made at first sight. Otherwise the id owns the messages sent,
        and no guest's token beside it gives another. With a name, that user writes under no other one. None leaves it
        to a token or the chat's own cookie. A WebSocket asks once, when it is opened.
        """
        self._identify = hook
        return hook

    def end(self, user_id: str) -> None:
        """End the held polls, streams and sockets of a user that `identify` returned as `User`. Call it at sign-out.

        They end within a second, at every worker. The next request of the user begins anew.
        """
        self._hosted().end(user_id)

    def let_in(self, room: str, user_id: str, *, manager: bool = False) -> None:
        """Make a user, as `identify` returns it in a `User`, a member of `room`. Raises RoomUnknown, Conflict."""
        role: MemberRole | None = "manager" if manager else None
        self._operate(AddMember(member=NewMember(id=self._hosted().account(user_id).key, role=role), room=room))

    def put_out(self, room: str, user_id: str) -> None:
        """End the membership of a user in `room`: later events do not reach it. Raises RoomUnknown, Conflict."""
        self._operate(RemoveMember(member=MemberId(self._hosted().account(user_id).key), room=room))

    def _operate(self, command: AddMember | RemoveMember) -> None:
        assert self._app is not None
        chat: Chat = self._app.extensions["quotechat"]
        chat.operate(command)

    def _hosted(self) -> Hosted:
        if self._app is None:
            raise RuntimeError("init_app comes first")
        from .web.http.services import services_of

        return services_of(self._app).accounts.hosted

    def _install(self, app: Flask, *, whole: bool) -> None:
        # Late, as all of the web: `quotechat verify` needs quotechat.app too, but nothing of it.
        from .live.downloads import open_downloads
        from .live.reactor import open_reactor
        from .web.http.services import Services
        from .web.transports.streams import stream

        settings = self._settings or Settings.from_env()
        self._app = app
        chat = open_chat(settings)
        app.config["QUOTECHAT"] = settings
        app.extensions["quotechat"] = chat
        services = Services(
            chat,
            settings,
            self._prefix,
            # Late, since the hook may be given after init_app.
            lambda: self._identify() if self._identify else None,
            open_reactor(chat),
            open_downloads(chat),
            stream,
        )
        services.put(app)
        _install(app, services, whole=whole)
        signal_sender = SignalSender(app)
        chat.on_commit(signal_sender.committed)
        chat.on_close(signal_sender.close)
        signal_sender.start()
        chat.start()
        if settings.webhooks != OFF:
            Sender(chat, policy(settings.webhooks, settings.webhook_networks)).start()


def open_chat(settings: Settings) -> Chat:
    """Make the hub on the store that `settings` name; its threads are not started."""
    store = open_store(settings, patience=_PATIENCE)
    chat = Chat(
        store,
        _limits(settings),
        notifier=_notifier(settings),
        index=open_index(settings, store) if settings.search else None,
        bounds=Bounds(
            settings.message_chars,
            settings.user_chars,
            settings.quote_chars,
            settings.author_chars,
            settings.schedule_days,
        ),
        threads=settings.threads,
        held_polls=settings.held_polls,
        dedupe_days=settings.dedupe_days,
        audit_days=settings.audit_days,
    )
    store.found(chat.now())
    return chat


def _notifier(settings: Settings) -> Notifier:
    """Choose the notifier of the other workers, of this machine or of all."""
    if not settings.database:
        return SocketNotifier(settings.data / "bells")
    # Imported here: it needs quotechat[postgres].
    from .hub.background.notices import Notices
    from .store.postgres.channel import Channel

    direct = settings.listen_database or settings.database
    return Notices(lambda: Channel(direct, listen=True), lambda: Channel(settings.database))


def _install(app: Flask, services: Services, *, whole: bool) -> None:
    """Register everything under one blueprint at `prefix`.

    If the application is `whole` ours, we answer unknown addresses and faults of any kind too.
    """
    # Imported late: `quotechat verify` needs quotechat.app too, but nothing of the web.
    from .live import inbox_feed, typists
    from .web.api import (
        cursors,
        files,
        health,
        hooks,
        inbox,
        members,
        mentions,
        messages,
        metrics,
        moderation,
        presence,
        quotes,
        rooms,
        search,
        webhooks,
    )
    from .web.api.accounts import administration, bots, me, signing_in
    from .web.http import (  # fmt: skip
        access,
        authentication,
        gate,
        measure,
        parameters,
        problems,
        quota,
        reads,
        security,
        site,
    )
    from .web.pages import about as about_page
    from .web.pages import accounts as account_pages
    from .web.pages import chat as pages
    from .web.pages import inbox as inbox_page
    from .web.pages import lessons, robots, unknown
    from .web.pages import moderation as moderation_pages
    from .web.pages import own as own_pages
    from .web.pages import people as people_pages
    from .web.pages import rooms as room_pages
    from .web.pages import search as search_page
    from .web.pages import static as static_files
    from .web.pages import webhooks as webhook_pages
    from .web.pages.parts import frame
    from .web.spec import reference, specs
    from .web.transports import held_rooms, parking, polling, revocation, sending
    from .web.transports import websocket_handshake as websocket

    chat, settings, prefix = services.chat, services.settings, services.prefix
    ours = Blueprint(site.NAME, __name__, url_prefix=prefix or None)
    static_files.install(ours)
    scope = app if whole else ours
    problems.install(scope)
    # The hook that is registered first runs last: it counts the headers of the others.
    measure.install(scope)
    access.install(scope, settings)
    quota.install(scope)
    security.install(app, scope, settings, chat.secret())
    reads.install(scope)  # after the refusals of security
    authentication.install(app, chat, settings)
    gate.install(scope, whole=whole)
    parking.install(app, chat)
    inbox_feed.open_feed(services.reactor, chat)
    typists.open_typists(services.reactor, chat)
    held_rooms.install(app, chat)
    sending.install(app, chat)
    revocation.install(app, chat)
    metrics.install(app, chat)
    frame.install()
    for module in (room_pages, about_page):
        ours.register_blueprint(module.blueprint)
    for module in (pages, lessons, rooms, messages, quotes, polling, health, specs, reference, websocket, robots):
        ours.register_blueprint(module.blueprint)
    for blueprint in (hooks.posted, search.blueprint, search_page.blueprint):
        ours.register_blueprint(blueprint)
    ours.register_blueprint(presence.blueprint)
    for module in (members, inbox, mentions, me, administration, bots, moderation, cursors, hooks, files, webhooks):
        ours.register_blueprint(module.blueprint)
    if whole:
        # Inside another application, that application signs people in.
        for module in (
            signing_in, account_pages, own_pages, people_pages, moderation_pages, webhook_pages, inbox_page,
        ):  # fmt: skip
            ours.register_blueprint(module.blueprint)
        websocket.install(app)
        unknown.install(app)
    elif prefix:
        unknown.install(ours)
    with parameters.strict_numbers(app):
        app.register_blueprint(ours)


def _limits(settings: Settings) -> Limits:
    hour = 3600.0
    return Limits(
        {
            "message": Rate(settings.messages_burst, settings.messages_per_second),
            "mark": Rate(60, 2),
            "change": Rate(300, 5),
            # Only an operator removes rooms.
            "room": Rate(settings.rooms_per_hour, settings.rooms_per_hour / hour, _ROOM_MAKERS),
            "read": Rate(settings.reads_burst, settings.reads_per_second, _READERS),
            "direct": Rate(30, 30 / hour),
            "report": Rate(10, 10 / hour),
            "guest": Rate(settings.guests_per_hour, settings.guests_per_hour / hour),
            "invitation": Rate(20, 20 / hour),
            "export": Rate(2, 2 / hour),
            "hook": Rate(10, 1.0),
            "upload": Rate(60, 60 / hour),
            "webhook-test": Rate(10, 10 / 60),
            "search": Rate(30, 30 / 60),
        },
        {
            "socket": Budget(settings.sockets_per_client, settings.sockets_per_worker),
            # The chat bounds the polls on threads by itself, with early answers.
            "poll": Budget(settings.polls_per_client, settings.sockets_per_worker),
            # Each upload has a thread.
            "upload": Budget(4, 8),
            "download": Budget(settings.sockets_per_client, settings.sockets_per_worker),
            # Beyond it, messages are answered on threads: no sender is refused for it.
            "sender": Budget(settings.sockets_per_client, settings.sockets_per_worker),
        },
        per_client=settings.limits,
        per_address=settings.clients_per_address,
        most_held=descriptors.held(descriptors.limit(), settings.sockets_per_worker),
        buckets=_buckets(settings.data) if settings.limits else None,
    )


def _buckets(data: Path) -> Buckets:
    """Return one table for all workers that serve from `data`; without a file there, one of this worker's own."""
    try:
        return SharedBuckets(data / "limits")
    except OSError as fault:
        log.warning("the limits of clients are counted in each worker by itself: %s", fault)
        return OwnBuckets()
