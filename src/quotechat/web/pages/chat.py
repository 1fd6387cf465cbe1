"""The pages that people see. Translation only: HTML out of snapshots, commands out of forms.

Every page works without JavaScript: each command is a form, each message is in the first HTML.
The scripts then read on from the cursor that the page carries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from ...hub.chat import Chat
from ...protocol import commands
from ...protocol.errors import ClientIdReused, Refused
from ...protocol.names import COLORS
from ...protocol.rights.permissions import CREATE_ROOM
from ..api.quotes import MOST_SEARCHED, searched
from ..http import access, authentication, reads, security, site
from ..http.services import services
from ..http.site import render_template, url_for
from .parts import answers, faces, first_minute, sent_files
from .parts.runs import show_text

blueprint = Blueprint("pages", __name__)

LATEST = 50
"""Messages in the first HTML."""

SHORT_POLL_INTERVAL = 2000
"""Milliseconds between two short polls of a page."""

_OLD_NAME_COOKIE = "quotechat-name"
"""The name of the cookie in earlier versions; now each server has its own (`security.cookie_name`)."""
NAME_COOKIE_AGE = 365 * 24 * 3600
"""Seconds for which a form without JavaScript remembers the user's name."""


class Way(NamedTuple):
    """A page's transport: its texts about it, and the transports that it may use."""

    endpoint: str
    label: str
    line: str
    transports: tuple[str, ...]


EMOJI = ("👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀", "✅", "🔥", "🤔", "👏")
"""The emoji that the page offers; the API takes any other too."""
WAYS = {
    "auto": Way(
        "pages.auto",
        "Auto",
        "This page opens a WebSocket; where that is blocked it polls, until it can return.",
        ("websocket", "long-poll", "short-poll"),
    ),
    "websocket": Way(
        "pages.websocket",
        "WebSocket",
        "This page holds one WebSocket open: new messages come over it, and what you write goes over it.",
        ("websocket",),
    ),
    "long": Way(
        "pages.polling",
        "Long polling",
        "This page asks for what is new; the server holds each request until there is something to answer.",
        ("long-poll",),
    ),
    "short": Way(
        "pages.polling",
        "Short polling",
        "This page asks every two seconds what is new; the server answers at once, mostly with nothing.",
        ("short-poll",),
    ),
}


site.template_filter("text")(show_text)
site.template_filter("hue")(faces.hue)
site.template_filter("initials")(faces.initials)
site.template_filter("called")(faces.called)


@site.template_filter("clock")
def clock(at: str) -> str:
    """Return the time of day of an RFC 3339 time in UTC; scripts turn it into the viewer's own."""
    return f"{at[11:16]} UTC"


@site.template_filter("day")
def day(at: str) -> str:
    """Return the date of an RFC 3339 time in UTC, in words."""
    date = datetime.fromisoformat(at)
    return f"{date:%A}, {date.day} {date:%B %Y}"


@site.template_filter("bytes")
def size(count: int) -> str:
    """Return a size for people, as in static/js/files/show.js."""
    if count < 1_000_000:
        return f"{count} B" if count < 1000 else f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


@site.template_filter("in_order")
def in_order(text: str) -> str:
    """Return a text without the marks that turn letters around (LRO, RLO), as in static/js/page/direction.js.

    In a line about a text, such as an excerpt, they would make an address read as another one.
    """
    return text.replace("\u202d", "").replace("\u202e", "")


@blueprint.get("/")
def auto() -> Response:
    """Show the room of `?room=`, over any transport that works."""
    return _chat_page(_room(), "auto")


@blueprint.get("/rooms/<name>")
def room(name: str) -> Response:
    """Show a room under an address of its own."""
    return _chat_page(name, "auto")


@blueprint.get("/websocket")
def websocket() -> Response:
    """Show the room over a WebSocket and nothing else."""
    return _chat_page(_room(), "websocket")


@blueprint.get("/polling")
def polling() -> Response:
    """Show the room by polling: `?mode=long` (held requests) or `?mode=short`."""
    return _chat_page(_room(), _polling_mode(request.args))


@blueprint.post("/rooms/<name>/messages")
def send(name: str) -> BaseResponse:
    """Send the form's message and return to its page, or show the refusal."""
    with sent_files.reading():
        form = request.form
    way = form.get("way", "auto")
    way = way if way in WAYS else "auto"
    fields = _filled(form, "user", "message", "color", "send_at")
    uploaded = None
    reply_to = _number(form.get("reply_to"))
    if reply_to is not None:
        fields["reply_to"] = reply_to
    try:
        uploaded = sent_files.upload(name)
        said = {"message": "", **fields, **uploaded.fields()} if uploaded else fields
        key = uploaded.client_id(form) if uploaded else _client_id(form)
        outcome = _submit({"command": "send-message", "room": name, **key, "message": said})
    except Refused as refused:
        sent_files.take_back(uploaded)
        if uploaded and isinstance(refused, ClientIdReused):  # the same form again, whose file has another id
            return redirect(_address(way, name, ""), 303)
        return _chat_page(name, way, refused=refused, draft=form)
    # The message's number is its anchor; a scheduled one has none yet.
    anchor = f"m{outcome.seq}" if hasattr(outcome, "seq") else "scheduled"
    back = redirect(_address(way, name, anchor), 303)
    _remember_name(back, fields.get("user", ""))
    return back


@blueprint.post("/rooms/<name>/reactions")
def react(name: str) -> BaseResponse:
    """Add the form's emoji to a message, or take it back."""
    form = request.form
    way = form.get("way", "auto")
    way = way if way in WAYS else "auto"
    number, _, emoji = form.get("add", form.get("take", "")).partition(" ")
    message = {"id": _number(number) or 0, "reaction": emoji, "on": "add" in form}
    try:
        _submit({"command": "react", "room": name, "message": message})
    except Refused as refused:
        return _chat_page(name, way, refused=refused)
    return redirect(_address(way, name, f"m{message['id']}"), 303)


@blueprint.get("/quotes")
def quotes() -> Response:
    """Show a random quote, the newest ones, and a form for another."""
    return _quotes_page()


@blueprint.post("/quotes")
def add_quote() -> BaseResponse:
    """Add the form's quote, or show the refusal, with the text kept."""
    fields = {name: request.form.get(name, "").strip() for name in ("quote", "author")}
    try:
        _submit({"command": "add-quote", **_client_id(request.form), "quote": fields})
    except Refused as refused:
        return _quotes_page(refused, fields)
    return redirect(url_for("pages.quotes", added=1), 303)


@blueprint.post("/quotes/post")
def post_quote() -> BaseResponse:
    """Send the form's quote to the form's room and go there."""
    form = request.form
    room = form.get("room", "")
    try:
        quote = _chat().quote(_number(form.get("id")) or 0)
        message = {"user": form.get("user", ""), "message": f"“{in_order(quote['quote'])}” — {quote['author']}"}
        outcome = _submit({"command": "send-message", "room": room, **_client_id(form), "message": message})
    except Refused as refused:
        return _quotes_page(refused, sharing=True)
    back = redirect(_address("auto", room, f"m{outcome.seq}"), 303)
    _remember_name(back, message["user"])
    return back


def _chat() -> Chat:
    return services().chat


def _submit(envelope: dict[str, object]) -> Any:
    name = security.given_name()
    command = security.signed(commands.decode(envelope, name), name)
    return _chat().submit(
        command, identity=security.identity(), address=security.address(), first_byte_at=access.first_byte_at(),
        proof=authentication.proof(),
    )  # fmt: skip


def _signs_as() -> str:
    """Return the name under which to write: that of the host application, else that of the last form."""
    known = request.cookies.get(_name_cookie(), request.cookies.get(_OLD_NAME_COOKIE, ""))
    return security.given_name() or unquote(known)


def _name_cookie() -> str:
    return f"{security.cookie_name()}-name"


def _room() -> str:
    return request.args.get("room") or "lobby"


def _polling_mode(args: Mapping[str, str]) -> str:
    return "short" if args.get("mode") == "short" else "long"


def _address(way: str, room: str, anchor: str | None = None, before: int | None = None) -> str:
    """Return the address of a room over this transport; the lobby needs no name."""
    named: dict[str, Any] = {} if room == "lobby" else {"room": room}
    mode: dict[str, Any] = {"mode": "short"} if way == "short" else {}
    if way == "auto" and named:
        return url_for("pages.room", name=room, before=before, _anchor=anchor)
    return url_for(WAYS[way].endpoint, **named, **mode, before=before, _anchor=anchor)


def _chat_page(
    name: str, way: str, *, refused: Refused | None = None, draft: Mapping[str, str] | None = None
) -> Response:
    chat = _chat()
    try:
        handle = chat.open(security.principal(), name)
        snapshot = handle.snapshot(LATEST)
        before = _number(request.args.get("before"))
        # Older history without a script; with one the page fetches it.
        page = snapshot if before is None else handle.messages(before, LATEST)
        reads.count(len(snapshot["messages"]) + len(page["messages"]))
    except Refused as problem:
        if not request.view_args and not request.args.get("room") and security.principal().role == "guest":
            return make_response(redirect(url_for("room_pages.all_rooms"), 303))  # it was not let into the lobby
        return _no_room(name, problem)
    html = render_template(
        "chat.html",
        room=name,
        current=name,
        about=snapshot["about"],
        position=_position(snapshot["about"]),
        way=way,
        ways=WAYS,
        address=_address,
        cursor=snapshot["cursor"],
        entries=_entries(page),
        oldest=page["messages"][0]["id"] if page["messages"] else None,
        mine=_mine(page),
        has_more=page["has_more"],
        in_history=page is not snapshot,
        welcome=None if snapshot["messages"] else first_minute.welcome(name, snapshot["about"]),
        colors=sorted(COLORS),
        uploads=sent_files.may(),
        emoji=EMOJI,
        interval=SHORT_POLL_INTERVAL,
        bounds=chat.bounds,
        draft=draft or {"user": _signs_as()},
        signed_in=security.given_name() is not None,
        has_account=security.principal().has_account and site.has("own_pages.me"),
        owner=security.principal().id or security.given_name(),
        can_sign_in=site.has("account_pages.sign_in"),
        client_id=answers.form_id(refused),
        problem=answers.told(refused),
    )
    return _page(html, refused)


def _entries(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return messages and quotes in the order of the log; an entry with `quote` is a quote, and its `id` the seq."""
    cards = [{"id": quote["seq"], "at": quote["at"], "quote": quote} for quote in page.get("quotes", [])]
    return sorted([*page["messages"], *cards], key=lambda entry: int(entry["id"]))


def _position(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number of messages sent, and the read position of the account if it is a member."""
    you = about.get("you")
    return {"messages": about.get("messages", 0), **({"read": you["read"]} if you else {})}


def _mine(page: dict[str, Any]) -> dict[str, Any]:
    """Return the viewer's messages and reactions, for pages with and without scripts."""
    return {"messages": [], "reactions": {}, "emoji": {}, **page.get("mine", {})}


def _quotes_page(
    refused: Refused | None = None, draft: Mapping[str, str] | None = None, *, sharing: bool = False
) -> Response:
    chat = _chat()
    form: Mapping[str, str] = request.form if sharing else {}
    chosen_id = _number((form or request.args).get("id"))
    try:
        chosen = chat.random_quote() if chosen_id is None else chat.quote(chosen_id)
    except Refused:
        # There is none yet, or it was taken back.
        chosen = None
    search = request.args.get("q", "")[:MOST_SEARCHED]
    before = _number(request.args.get("before"))
    page = searched(search, before, LATEST)
    html = render_template(
        "quotes.html",
        bounds=chat.bounds,
        chosen=chosen,
        asked=chosen_id is not None,
        search=search,
        rooms=chat.rooms(security.principal()),
        room=form.get("room", "lobby"),
        user=form.get("user") or _signs_as(),
        quotes=page["quotes"],
        has_more=page["has_more"],
        added="added" in request.args,
        draft=draft or {},
        client_id=answers.form_id(None if sharing else refused),
        share_id=answers.form_id(refused if sharing else None),
        problem=None if sharing else answers.told(refused),
        not_posted=answers.told(refused) if sharing else None,
    )
    return _page(html, refused)


def _no_room(name: str, refused: Refused) -> Response:
    html = render_template(
        "error.html", problem=answers.told(refused), room=name,
        can_create=authentication.may(security.principal(), CREATE_ROOM),
    )  # fmt: skip
    return _page(html, refused)


def _page(html: str, refused: Refused | None) -> Response:
    answer = answers.answered(html, refused)
    security.give_cookie(answer)
    return answer


def _number(text: str | None) -> int | None:
    """Parse a number in an address or a form; return None if it cannot be an id."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,15}", text) else None


def _filled(form: Mapping[str, str], *names: str) -> dict[str, object]:
    return {name: form[name] for name in names if form.get(name, "") != ""}


def _client_id(form: Mapping[str, str]) -> dict[str, object]:
    return _filled(form, "client_id")


def _remember_name(answer: BaseResponse, name: object) -> None:
    answer.set_cookie(
        _name_cookie(),
        quote(str(name)),
        max_age=NAME_COOKIE_AGE,
        path=site.base() or "/",
        samesite="Lax",
        secure=request.is_secure,
        httponly=True,
    )
