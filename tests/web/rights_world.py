"""An application with rooms of every kind and callers of every kind, for the matrix of rights."""

from __future__ import annotations

import itertools
import secrets
from typing import Any, NamedTuple

from flask import Flask
from flask.testing import FlaskClient
from people import ORIGIN, Browser, joined, owner

from quotechat.hub.accounts.credentials import mint
from quotechat.protocol.rights.principal import Principal
from quotechat.store.accounts import sessions
from quotechat.store.shapes import Sql
from quotechat.store.tables import TABLES
from quotechat.web.http.services import services_of

OPEN, CLOSED, DIRECT, LOG = "open", "closed", "direct", "log"
KINDS = (OPEN, CLOSED, DIRECT, LOG)
RESTORED = tuple(
    name for name, table in TABLES.items()
    if table.carried or name in ("member", "report", "subscriber", "subscribed", "webhook", "notice", "file")
)  # fmt: skip
"""Tables whose rows are put back after a change that was allowed; logs only grow."""


class Caller(NamedTuple):
    """One kind of caller."""

    label: str
    role: str = "visitor"
    membership: str | None = None
    """In every room but the log."""
    scopes: frozenset[str] | None = None
    """Those of its token; None for a session, and for a visitor."""
    headers: tuple[tuple[str, str], ...] = ()
    principal: Principal = Principal(None)
    proved: bool = False
    refused: bool = False
    """True if its token counts no more."""
    keeps: bool = False
    """True for the keeper of the bots."""
    in_rooms: bool = True
    """False if its token is for another room."""

    @property
    def name(self) -> str:
        """Return the name under which it writes."""
        return self.principal.name or "Vi"

    def in_room(self, kind: str) -> str | None:
        """Return its membership in the room of that kind; a direct room has no manager."""
        return "member" if kind == DIRECT and self.membership else None if kind == LOG else self.membership


class World:
    """The rooms, their contents, and `callers`. An account that is `inside` is a member of every room."""

    def __init__(self, app: Flask, *, access: str) -> None:
        self.app, self.access = app, access
        self.client: FlaskClient = app.test_client(use_cookies=False)
        self.services = services_of(app).accounts
        self.chat = services_of(app).chat
        self.numbers = itertools.count(1)
        self.owner = owner(app, "Azin")
        self._people()
        self._rooms()
        self._things()
        self._places()
        self.callers = {each.label: each for each in (self._known() if access == "invite" else self._unknown())}
        self._kept = self._rows()

    # --- What a cell does -------------------------------------------------------------------------------

    def ask(self, caller: Caller, method: str, path: str, **about: Any) -> Any:
        """The answer to `caller`; `about` as Flask's client takes it."""
        headers = dict(ORIGIN) | dict(caller.headers) | about.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **about)

    def said(self, caller: Caller, kind: str, **about: Any) -> int | None:
        """Let somebody say something in a room; the id, of a message that waits too. None if that is refused."""
        body = {"user": caller.name, "message": "hi", **about}
        answer = self.ask(caller, "POST", f"/api/v1/rooms/{self.rooms[kind]}/messages", json=body)
        found = answer.get_json()
        return None if answer.status_code >= 400 else int(found.get("message", found.get("scheduled", {})).get("id"))

    def quoted(self, caller: Caller) -> int | None:
        """Let somebody add a quote to the open room; its id. None if that is refused."""
        body = {"quote": "Less is more.", "author": "Mies", "room": self.rooms[OPEN]}
        answer = self.ask(caller, "POST", "/api/v1/quotes", json=body)
        return None if answer.status_code >= 400 else int(answer.get_json()["id"])

    def uploading(self, caller: Caller, kind: str) -> str | None:
        """Let somebody begin an upload; the id of the file. None if that is refused."""
        path = f"/api/v1/rooms/{self.rooms[kind]}/files?name=b.txt"
        headers = {"Upload-Complete": "?0", "Content-Type": "application/octet-stream"}
        answer = self.ask(caller, "POST", path, headers=headers)
        return None if answer.status_code >= 400 else answer.headers["Location"].rpartition("/")[2]

    def restore(self) -> None:
        """Put back what the last cell has changed."""
        now = self._rows()
        changed = [name for name in RESTORED if now[name] != self._kept[name]]
        if not changed:
            return

        def work(sql: Sql) -> None:
            for name in changed:
                sql.run(f"DELETE FROM {name}")
                columns = list(TABLES[name].kinds)
                marks = ", ".join("?" for _ in columns)
                for row in self._kept[name]:
                    sql.run(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", *row)

        self.chat.write_with(work)

    def _rows(self) -> dict[str, list[tuple[Any, ...]]]:
        def work(sql: Sql) -> dict[str, list[tuple[Any, ...]]]:
            return {
                name: sorted((tuple(row) for row in sql.all(f"SELECT {', '.join(TABLES[name].kinds)} FROM {name}")),
                             key=repr)
                for name in RESTORED
            }  # fmt: skip

        return self.chat.read_with(work)

    # --- How it is made ---------------------------------------------------------------------------------

    def _people(self) -> None:
        names = {
            "Gil": "guest", "Gus": "guest", "Mo": "member", "Ina": "member", "Max": "member", "Ada": "admin",
            "Abe": "admin", "Opal": "member", "Vic": "member", "Ban": "member",
        }  # fmt: skip
        self.browsers = {name: joined(self.app, self.owner, name) for name in names}
        for name, role in names.items():
            self._run("UPDATE account SET role = ? WHERE name = ?", role, name)
        self.browsers["Azin"] = self.owner
        made = self.owner.ask("POST", "/bots", {"name": "Inbot", "keeper": self.id("Max")}).get_json()
        self.bots = {"Inbot": made["account"]["id"]}
        for name in ("Outbot", "Kept"):
            body = {"name": name, "keeper": self.id("Max")}
            self.bots[name] = self.owner.ask("POST", "/bots", body).get_json()["account"]["id"]

    def id(self, name: str) -> str:
        """Return the public id of an account."""
        return str(self._one("SELECT key FROM account WHERE name = ?", name))

    def principal(self, name: str) -> Principal:
        """Return somebody, by the session of its browser."""
        found = self.services.credentials.by_session(self._cookie(name))
        assert found is not None
        return found[0]

    def _cookie(self, name: str) -> str:
        cookie = self.browsers[name].client.get_cookie("quotechat-session")
        assert cookie is not None
        return cookie.value

    def _rooms(self) -> None:
        inside = [self.id(name) for name in ("Gus", "Ina", "Max", "Opal", "Abe", "Inbot")]
        self.owner.ask("POST", "/rooms", {"name": "plaza"})
        self.owner.ask("POST", "/rooms", {"name": "elsewhere"})
        closed = self.browsers["Max"].ask("POST", "/rooms", {"name": "staff", "kind": "closed"})
        self.rooms = {OPEN: "plaza", CLOSED: closed.get_json()["name"], LOG: "@audit"}
        direct = self.browsers["Max"].ask("POST", "/directs", {"members": [each for each in inside[:6] if each]})
        assert direct.status_code == 201, direct.get_json()
        self.rooms[DIRECT] = direct.get_json()["name"]
        for kind, boss in ((OPEN, self.owner), (CLOSED, self.browsers["Max"])):
            for each in (*inside, self.id("Vic")):
                role = "manager" if each == self.id("Max") else "member"
                path = f"/rooms/{self.rooms[kind]}/members/{each}"
                assert boss.ask("PUT", path, {"role": role}).status_code == 200

    def _things(self) -> None:
        """Things of others, which a caller may read or not: messages, files, quotes, links."""
        opal, boss = self._session("", "Opal", "member"), self.owner
        self.opal = opal
        self.other = {kind: self.said(opal, kind) or 0 for kind in KINDS[:3]}
        self.waiting = {kind: self.said(opal, kind, send_at="+1d") or 0 for kind in KINDS[:3]}
        self.quote = self.quoted(opal) or 0
        self.files = {}
        for kind in KINDS[:3]:
            made = self.browsers["Opal"].client.post(
                f"/api/v1/rooms/{self.rooms[kind]}/files?name=a.txt", data=b"hello", headers=ORIGIN
            ).get_json()["file"]["id"]
            self.said(opal, kind, files=[made])
            self.files[kind] = made
        self._run("UPDATE file SET thumb = hash")
        self.hooks = {
            kind: self.browsers["Max"].ask("POST", f"/rooms/{self.rooms[kind]}/hooks", {"name": f"Hook {kind}"})
            .get_json() for kind in (OPEN, CLOSED)
        }  # fmt: skip
        self.reports = {}
        for kind in (OPEN, CLOSED, DIRECT):
            body = {"command": "report-message", "message": {"id": self.other[kind]}, "reason": "spam"}
            sent = self.browsers["Ina"].ask("POST", f"/rooms/{self.rooms[kind]}/commands", body)
            assert sent.status_code == 200, sent.get_json()
            self.reports[kind] = int(self._one("SELECT max(id) FROM report"))
        self.ticket = boss.ask("POST", "/invitations", {}).get_json()["id"]
        body = {"name": "hook", "url": "https://example.org/hook", "account": self.bots["Kept"], "rooms": ["plaza"]}
        self.webhook = boss.ask("POST", "/webhooks", body).get_json()["webhook"]["id"]
        boss.prove()
        made = boss.ask("POST", f"/bots/{self.bots['Kept']}/tokens", {"name": "kept"})
        self.kept_token = made.get_json()["id"]

    def _places(self) -> None:
        """What each account has of its own: a notice, a cursor. Proofs are those of managers and administrators."""
        now = self.chat.now()  # an old notice is forgotten at any time
        for number, name in self.chat.read_with(lambda sql: list(sql.all("SELECT id, name FROM account"))):
            self._run("INSERT INTO notice (account_id, at, what, text) VALUES (?, ?, 'muted', '')", number, now)
            reader = Principal(f"acct:{self.id(name)}", number, self.id(name), name, self._role(name))
            self.services.cursors.put(reader, "grader", ["elsewhere"] if reader.role not in ("guest",) else "all")
        proved = [self.id(name) for name in ("Max", "Ada", "Abe")]
        marks = ", ".join("?" for _ in proved)
        self._run("UPDATE session SET proved_at = NULL")
        self._run(
            f"UPDATE session SET proved_at = ? WHERE account_id IN (SELECT id FROM account WHERE key IN ({marks}))",
            now, *proved,
        )  # fmt: skip
        self._run("UPDATE account SET named_at = NULL")

    def notice(self, caller: Caller) -> int:
        """Return the id of the notice of an account; 1 for nobody's."""
        found = self._one("SELECT min(id) FROM notice WHERE account_id = ?", caller.principal.account or 0)
        return int(found or 1)

    def _role(self, name: str) -> str:
        return str(self._one("SELECT role FROM account WHERE name = ?", name))

    def _known(self) -> list[Caller]:
        made = [
            Caller("stranger"),
            self._session("guest outside", "Gil", None),
            self._session("guest inside", "Gus", "member"),
            self._session("member outside", "Mo", None),
            self._session("member inside", "Ina", "member"),
            self._session("manager", "Max", "manager", proved=True),
            self._session("admin outside", "Ada", None, proved=True),
            self._session("admin inside", "Abe", "member", proved=True),
            *(self._token(f"bot inside, {scope}", "Inbot", "member", scope) for scope in ("read", "write", "manage")),
            self._token("bot inside", "Inbot", "member", "read write manage"),
            self._token("bot outside", "Outbot", None, "read write manage"),
            self._token("manager's token, manage", "Max", "manager", "manage"),
            self._token("member's token for another room", "Ina", "member", "read write manage", rooms="elsewhere"),
            *self._ended(),
        ]
        banned = self._token("token of a banned member", "Ban", None, "read write manage")
        self._run("UPDATE account SET state = 'banned' WHERE name = 'Ban'")
        return [*made, banned._replace(refused=True)]

    def _unknown(self) -> list[Caller]:
        page = Browser(self.app)
        page.client.get("/")
        cookie = page.client.get_cookie(services_of(self.app).keys.cookie)
        assert cookie is not None
        token = page.ask("POST", "/guests", {"user": "Vi"}).get_json()["token"]
        return [
            Caller("nobody", principal=Principal(None, name="Nell")),
            Caller("visitor by cookie", headers=(("Cookie", f"{cookie.key}={cookie.value}"),),
                   principal=Principal("cookie", name="Vera")),
            Caller("visitor by token", headers=(("Authorization", f"Bearer {token}"),),
                   principal=Principal("token", name="Vi")),
            self._session("member inside", "Ina", "member"),
            *self._ended(),
        ]  # fmt: skip

    def _ended(self) -> list[Caller]:
        """A token that was revoked, and a session that has ended: a browser with that is a stranger again."""
        token = self._token("revoked token", "Max", "manager", "read write manage")
        self._run("DELETE FROM token WHERE hash = ?", token.principal.proof)
        cookie = (("Cookie", f"quotechat-session={secrets.token_urlsafe(32)}"),)
        session = Caller("ended session", headers=cookie, principal=Principal(None, name="Ed"))
        return [token._replace(refused=True, principal=Principal(None)), session]

    def _session(self, label: str, name: str, membership: str | None, *, proved: bool = False) -> Caller:
        cookie = (("Cookie", f"quotechat-session={self._cookie(name)}"),)
        principal = self.principal(name)
        return Caller(label, principal.role, membership, None, cookie, principal, proved, keeps=name == "Max")

    def _token(
        self, label: str, name: str, membership: str | None, scopes: str, *, rooms: str | None = None
    ) -> Caller:
        number = int(self._one("SELECT id FROM account WHERE name = ?", name))
        token, secret = mint(number, "laptop", self.chat.now())
        kept = token._replace(scopes=scopes, rooms=rooms, used_at=self.chat.now())
        self.chat.write_with(lambda sql: sessions.add_token(sql, kept))
        principal = self.services.credentials.by_token(secret)
        bearer = (("Authorization", f"Bearer {secret}"),)
        return Caller(
            label, principal.role, membership, frozenset(scopes.split()), bearer, principal, keeps=name == "Max",
            in_rooms=rooms is None,
        )  # fmt: skip

    def _run(self, statement: str, *values: Any) -> None:
        self.chat.write_with(lambda sql: sql.run(statement, *values))

    def _one(self, statement: str, *values: Any) -> Any:
        row = self.chat.read_with(lambda sql: sql.one(statement, *values))
        return None if row is None else row[0]
