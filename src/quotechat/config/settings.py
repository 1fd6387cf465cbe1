"""All settings, with the checks that need more than one value's bounds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from .fields import PREFIX, SettingsError, read, setting, variable, written
from .hosts import clean_host, clean_network, clean_origin, host_of, is_address, is_loopback, own_names

#: Variables of the commands that talk to a server, which are no settings of one.
_OF_CLIENTS = frozenset({"QUOTECHAT_URL", "QUOTECHAT_USER", "QUOTECHAT_TOKEN"})

#: Threads that held polls leave free at the least, so that a POST always finds one.
_THREADS_KEPT_FREE = 4

_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_ACCESS = ("open", "invite", "private")
_FILES = ("", "directory", "database", "s3", "off")
_MOST_PUT = 5 * 1024**3
"""Bytes that S3 takes by one request."""
_LOG_FORMATS = ("auto", "text", "json")
_WEBHOOKS = ("off", "admins", "members")


#: RFC 3986 as libpq takes it: libpq would repeat a text that it does not understand, and that may be a password.
_PART = r"(?:[^\s@:/?#\[\]%]|%[0-9A-Fa-f]{2})*"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w.~-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
_PARAMETER = r"\w+=(?:[^\s#&%]|%[0-9A-Fa-f]{2})*"
_DATABASE = re.compile(
    rf"postgres(?:ql)?://(?:{_PART}(?::{_PART})?@)?{_HOST}(?:,{_HOST})*(?:/{_PART})?(?:\?{_PARAMETER}(?:&{_PARAMETER})*)?"
)


@dataclass(frozen=True)
class Settings:
    """All settings of one server. Raises SettingsError if a value is out of its bounds."""

    # Addresses and files.
    host: str = setting("127.0.0.1", "Address to listen on; `0.0.0.0` or `::` for all.")
    port: int = setting(8000, "TCP port to listen on; 0 takes any free one.", low=0, high=65535)
    data: Path = setting(
        Path("quotechat-data"), "Directory that holds all that the server keeps; made if it is missing."
    )
    database: str = setting(
        "",
        "Where the log is kept, if not in the data directory: `postgresql://USER:PASSWORD@HOST/NAME`. All servers"
        " with the same one are one chat. Needs `quotechat[postgres]`.",
        secret=True,
    )
    listen_database: str = setting(
        "",
        "The same database without a pooler in between, for the one connection that listens (LISTEN). Empty:"
        " `QUOTECHAT_DATABASE`.",
        secret=True,
    )
    database_connections: int = setting(
        8,
        "Connections to PostgreSQL with which each worker reads, at most; beside them one writes, one listens and one"
        " notifies.",
        low=1, high=1000,
    )  # fmt: skip
    log_level: str = setting("info", "`debug`, `info`, `warning`, `error` or `critical`.")

    log_format: str = setting(
        "auto", "`text` for people, `json` for programs, one event on each line; `auto`: text at a terminal."
    )
    log_requests: bool = setting(
        False, "`on` or `off`: whether each request, and each live connection at its end, is logged."
    )

    # Processes and threads.
    workers: int = setting(1, "Processes that serve; all share the data directory.", low=1, high=64)
    threads: int = setting(64, "Threads for HTTP requests in each worker.", low=1, high=4096)
    sockets_per_worker: int = setting(
        10_000,
        "Connections that one worker holds for long: WebSockets, streams, held polls and kept senders together. More"
        " get 503 `overloaded`; one address has half of them at most. Fewer if there are few file descriptors.",
        low=1, high=1_000_000
    )
    held_polls: int = setting(
        0,
        "Long-polls that one worker holds in its threads, those of named cursors; more are answered at once"
        " with `retry_in_ms`. 0 means automatic: all threads but a quarter (and at least 4), but never fewer"
        " than a third.",
        low=0,
        high=4095,
    )

    # Access.
    access: str = setting(
        "open",
        "Who reads and writes: `open`, everybody; `invite`, people with an account, which an invitation makes;"
        " `private`, the same, but an invitation is for one person.",
    )
    public_url: str = setting(
        "", "The address at which people reach the server, for links: `https://chat.example.org`. Empty: as asked."
    )
    contact: str = setting(
        "", "Shown at sign-in to people who need help: `mailto:` or an `https` address; `/admin` can set another."
    )
    password_chars: int = setting(10, "Characters that a new password has at least.", low=8, high=100)
    session_days: int = setting(180, "Days after which a session ends.", low=1, high=400)
    session_idle_days: int = setting(30, "Days without use after which a session ends.", low=1, high=400)

    webhooks: str = setting(
        "admins",
        "Who makes webhooks, by which events are sent to other systems: `off`, `admins`, or `members` for their own"
        " bots too.",
    )
    webhook_networks: tuple[str, ...] = setting(
        (),
        "Networks that are not global and that webhooks of administrators may call, also without TLS:"
        " `10.1.0.0/16, fd00::/8`.",
    )

    search: bool = setting(True, "`on` or `off`: whether messages are indexed and can be searched.")

    # Limits per client: an identity, or an address if there is none.
    limits: bool = setting(
        True, "`on` or `off`: whether the limits per client hold. Off for load tests and trusted networks."
    )
    messages_burst: int = setting(20, "Messages that a client may send at once.", low=1, high=1_000_000)
    messages_per_second: float = setting(
        5.0, "Messages a second that a client may send in the long run.", low=0.001, high=1_000_000
    )
    reads_burst: int = setting(
        20_000,
        "Rows (messages, events, quotes) that a client may read at once. A request costs 4 rows besides, a search in"
        " the quotes 20 and one for each 5 that it looks through, a list of rooms one for each, `/reference` 2,000."
        " An address has 10 times as much.",
        low=1000, high=1_000_000_000,
    )  # fmt: skip
    reads_per_second: float = setting(
        2000.0, "Rows a second that a client may read in the long run.", low=1, high=1_000_000_000
    )
    sockets_per_client: int = setting(20, "WebSockets that a client may hold.", low=1, high=1_000_000)
    polls_per_client: int = setting(
        20, "Long-polls and streams that a client may hold.", low=1, high=1_000_000
    )
    rooms_per_hour: int = setting(10, "Rooms that a client may create in an hour.", low=1, high=1_000_000)
    guests_per_hour: int = setting(
        50, "Guest tokens that an address may take in an hour.", low=1, high=1_000_000
    )

    clients_per_address: int = setting(
        50,
        "Clients whose limits one address may use up, whatever identities come from it; an IPv6 address counts with"
        " its /64 network.",
        low=1, high=1_000_000
    )
    most_rooms: int = setting(1000, "Open and closed rooms that there may be.", low=1, high=1_000_000)
    most_directs: int = setting(100_000, "Direct rooms that there may be.", low=1, high=10_000_000)

    request_seconds: float = setting(
        30.0, "Seconds within which a request must have come whole.", low=0.1, high=3600
    )

    # Sizes of requests.
    message_chars: int = setting(4000, "Characters of a message.", low=1, high=100_000)
    user_chars: int = setting(40, "Characters of the name of a visitor; accounts have up to 40.", low=1, high=200)
    quote_chars: int = setting(1000, "Characters of a quote.", low=1, high=100_000)
    author_chars: int = setting(100, "Characters of a quote's author.", low=1, high=200)
    body_bytes: int = setting(65_536, "Bytes of a request body; more get 413.", low=1024, high=16_777_216)
    socket_bytes: int = setting(
        65_536, "Bytes of a WebSocket message; more close it with 1009.", low=1024, high=16_777_216
    )

    # Files.
    files: str = setting(
        "",
        "Where files are kept: `directory`, in the data directory; `database`, so that several machines share them;"
        " `s3`, in a bucket; `off`, nowhere. Empty: `database` with `QUOTECHAT_DATABASE`, else `directory`.",
    )
    bucket: str = setting(
        "",
        "The bucket for files, `NAME` or `NAME/PREFIX`, of this chat alone. Contents that are there are read from it"
        " also when `QUOTECHAT_FILES` is no longer `s3`. Needs `quotechat[s3]`.",
    )
    bucket_endpoint: str = setting(
        "", "Address of an S3-compatible storage, such as `https://s3.example.org`. Empty: that of AWS."
    )
    bucket_region: str = setting("us-east-1", "Region of the bucket, as its storage names it.")
    bucket_key: str = setting(
        "", "Id of the access key. Empty: found as AWS's own tools find it, such as in a role of the machine.",
        secret=True,
    )  # fmt: skip
    bucket_secret: str = setting("", "Secret of the access key.", secret=True)
    bucket_path_style: bool = setting(
        True, "`on` or `off`: whether the bucket's name is in the path of an address, or in its host."
    )
    file_bytes: int = setting(26_214_400, "Bytes of one file.", low=1024, high=10_737_418_240)
    account_files_bytes: int = setting(
        1_073_741_824, "Bytes that the files of one person may have together.", low=1024, high=1_125_899_906_842_624
    )
    all_files_bytes: int = setting(
        10_737_418_240, "Bytes that all files may have together.", low=1024, high=1_125_899_906_842_624
    )
    guest_files: bool = setting(False, "`on` or `off`: whether people without an account may upload files.")
    keep_metadata: bool = setting(
        False, "`on` or `off`: whether pictures, movies and sounds keep metadata, such as their place."
    )

    # Spans of time.
    audit_days: int = setting(365, "Days that the log of administration, `@audit`, is kept.", low=1, high=36_500)
    schedule_days: int = setting(365, "Days ahead that a message may be scheduled.", low=1, high=3650)
    dedupe_days: int = setting(
        30, "Days for which a repeated `client_id` is recognised; the protocol promises 30.", low=1, high=3650
    )
    name_hold_seconds: int = setting(
        86_400, "Seconds for which a name stays with the identity that used it last.", low=0, high=31_536_000
    )

    # Trusted peers: proxies, origins, hosts.
    origins: tuple[str, ...] = setting(
        (),
        "Other origins whose pages may use the API, such as `https://chat.example.org`, separated by"
        " commas. Our own origin is always allowed.",
    )
    hosts: tuple[str, ...] = setting(
        (),
        "Names (without port) that a request's `Host` may give, separated by commas; `localhost` and"
        " loopback addresses always pass. Empty: those, any IP address, the address listened on and the"
        " machine's own name. Set it to the public name behind a proxy.",
    )
    metrics_token: str = setting(
        "",
        "What `/metrics` asks for as `Authorization: Bearer …`. Empty: only this machine may ask, and not through"
        " a proxy.",
        secret=True,
    )
    trusted_proxies: int = setting(
        0, "Proxies in front whose `X-Forwarded-*` headers are believed; each adds one hop.", low=0, high=10
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            self._check_bounds(each)
        self._replace("origins", tuple(clean_origin(origin) for origin in self.origins))
        self._replace("hosts", tuple(clean_host(host) for host in self.hosts))
        self._replace("data", Path(self.data))
        self._check_choices()
        self._settle_held_polls()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings that `environ` (default: os.environ) gives; an empty variable means the default.

        Raises SettingsError, whose message names the variable.
        """
        found = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for each in fields(cls):
            text = found.get(variable(each.name), "").strip()
            if text:
                values[each.name] = read(each, text)
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """Return the variables that make `from_env` return an equal value, in this and in other processes."""
        return {variable(each.name): written(getattr(self, each.name)) for each in fields(self)}

    def show(self, environ: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
        """Return (variable, value, source) of every setting; source is ``environment`` or ``default``."""
        found = os.environ if environ is None else environ
        rows = []
        for each in fields(self):
            name = variable(each.name)
            value = written(getattr(self, each.name))
            if value and each.metadata["secret"]:
                value = "(hidden)"
            rows.append((name, value, "environment" if found.get(name, "").strip() else "default"))
        return rows

    def allows_host(self, header: str) -> bool:
        """Return True if a request whose ``Host`` is `header` (port included) is for this server.

        A foreign page reaches a server on this machine by DNS rebinding, and for that it
        needs a *name* that it owns. So addresses pass if no names are set, names only if known.
        """
        name = host_of(header)
        if name is None:
            return False
        if is_loopback(name) or name in self.hosts:
            return True
        if self.hosts:
            return False
        return is_address(name) or name in own_names(self.host)

    @property
    def files_in(self) -> str:
        """Return the place of files: ``directory``, ``database``, ``s3`` or ``off``."""
        return self.files or ("database" if self.database else "directory")

    def _check_bounds(self, each: Field[Any]) -> None:
        value, low, high = getattr(self, each.name), each.metadata["low"], each.metadata["high"]
        if low is None:
            return
        # bool is an int to Python, but nobody means True threads.
        kinds = int if isinstance(each.default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            kind = "a whole number" if kinds is int else "a number"
            raise SettingsError(f"{variable(each.name)} must be {kind}, not {value!r}")
        if not low <= value <= high:
            raise SettingsError(f"{variable(each.name)} must be between {low:g} and {high:g}, not {value!r}")

    def _check_choices(self) -> None:
        for name, choices in (("log_level", _LOG_LEVELS), ("log_format", _LOG_FORMATS), ("files", _FILES)):
            self._replace(name, getattr(self, name).lower())
            chosen = getattr(self, name)
            if chosen not in choices:
                known = ", ".join(filter(None, choices))
                raise SettingsError(f"{variable(name)} must be one of {known}, not {chosen!r}")
        self._replace("log_level", self.log_level.lower())
        if self.log_level not in _LOG_LEVELS:
            raise SettingsError(
                f"{variable('log_level')} must be one of {', '.join(_LOG_LEVELS)}, not {self.log_level!r}"
            )
        self._check_people()
        self._check_bucket()
        for name in ("database", "listen_database"):
            self._check_database(name)
        if not self.host or any(sign.isspace() or sign == "/" for sign in self.host):
            raise SettingsError(f"{variable('host')} must be a host name or an address, not {self.host!r}")
        # gunicorn and URLs want brackets, everything else does not: kept without them.
        self._replace("host", self.host.strip("[]"))

    def _check_people(self) -> None:
        self._replace("access", self.access.lower())
        if self.access not in _ACCESS:
            raise SettingsError(f"{variable('access')} must be one of {', '.join(_ACCESS)}, not {self.access!r}")
        self._replace("public_url", self.public_url.rstrip("/"))
        if self.public_url and not re.fullmatch(r"https?://[^\s?#@/]+(/[^\s?#]*)?", self.public_url):
            raise SettingsError(f"{variable('public_url')} must be such as https://chat.example.org")
        self._replace("webhooks", self.webhooks.lower())
        if self.webhooks not in _WEBHOOKS:
            raise SettingsError(f"{variable('webhooks')} must be one of {', '.join(_WEBHOOKS)}, not {self.webhooks!r}")
        self._replace("webhook_networks", tuple(map(clean_network, self.webhook_networks)))
        if self.contact and not re.fullmatch(r"(mailto:|https://)[!-~]{3,200}", self.contact):
            raise SettingsError(f"{variable('contact')} must begin with mailto: or https://")

    def _check_bucket(self) -> None:
        if self.bucket and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*", self.bucket, re.A):
            raise SettingsError(f"{variable('bucket')} must be such as files or files/chat, not {self.bucket!r}")
        self._replace("bucket_endpoint", self.bucket_endpoint.rstrip("/"))
        if self.bucket_endpoint and not re.fullmatch(r"https?://[^\s?#@/]+", self.bucket_endpoint):
            raise SettingsError(f"{variable('bucket_endpoint')} must be such as https://s3.example.org")
        if bool(self.bucket_key) != bool(self.bucket_secret):
            raise SettingsError(f"{variable('bucket_key')} and {variable('bucket_secret')} go together")
        if self.files == "s3" and not self.bucket:
            raise SettingsError(f"{variable('files')} is s3, and {variable('bucket')} names no bucket")
        if self.files == "s3" and self.file_bytes > _MOST_PUT:
            raise SettingsError(f"{variable('file_bytes')} must be at most {_MOST_PUT} with {variable('files')}=s3")

    def _check_database(self, name: str) -> None:
        # Its text holds a password: it is not repeated.
        text = getattr(self, name)
        if text and not _DATABASE.fullmatch(text):
            raise SettingsError(
                f"{variable(name)} must be a URL such as postgresql://user:password@host/database; in user and password"
                " write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"
            )
        if self.listen_database and not self.database:
            raise SettingsError(f"{variable('listen_database')} goes with {variable('database')}, which is not set")

    def _settle_held_polls(self) -> None:
        if self.held_polls == 0:
            free = max(_THREADS_KEPT_FREE, self.threads // 4)
            at_least = min(-(-self.threads // 3), self.threads - 1)
            self._replace("held_polls", max(self.threads - free, at_least))
        if self.held_polls >= self.threads:
            raise SettingsError(
                f"{variable('held_polls')} must be lower than {variable('threads')} ({self.threads}),"
                f" not {self.held_polls}: a POST needs a thread too"
            )

    def _replace(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen: only while it is being made


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Variables with our prefix that name no setting: most likely misspelt."""
    known = {variable(each.name) for each in fields(Settings)} | _OF_CLIENTS
    found = os.environ if environ is None else environ
    return sorted(name for name in found if name.startswith(PREFIX) and name not in known)


def default_of(name: str) -> str:
    """Return the default of the setting `name`, as it would be written in its variable."""
    each = next(each for each in fields(Settings) if each.name == name)
    assert each.default is not MISSING
    return written(each.default)
