"""Defines every setting of a server: its type, default, bounds and description.

What changes while a server runs (tenants, pools, users, clients) is in the store. `licet.settings.load` reads
the values, `licet.settings.page` makes the reference page.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from licet.networks import METADATA, Network
from licet.platforms.processes import HANDS_OVER_SOCKETS, processors
from licet.settings.names import DATA

URL_CHARS_MAX: Final = 255  # a guess: the base of an issuer, which is twice in a JWT
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*\.?")
# A host of a database: a name, an address, or a directory of sockets with its slashes as %2F.
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._%-]*)(?::\d*)?")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be recognised, not to be bound

_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,255}")
_MAIL_ADDRESSES_MAX = 20  # a guess: for more there are mailing lists
_MAIL_ADDRESSES = "addresses like ada@example.com; in a variable, apart by commas"


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is not a whole number")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        if not _HOST.fullmatch(value):
            raise ValueError("is neither an address nor a name of a host") from None
        return value


def _public_url(value: str) -> str:
    fault = "is not a URL"
    try:
        parts = urlsplit(value)
        fault = _url_fault(value, parts) or ""
    except ValueError:  # a port that is not a number, or an unclosed bracket
        pass
    if fault:
        raise ValueError(fault)
    return value.rstrip("/")


def _url_fault(value: str, parts: SplitResult) -> str | None:
    if len(value) > URL_CHARS_MAX:
        return f"is longer than {URL_CHARS_MAX} characters"
    if not value.isascii() or not value.isprintable() or " " in value:
        return "has characters that a URL has not"
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        return "is not an absolute http or https URL"
    if parts.username is not None:
        return "has a user name or password in it"
    # RFC 8414 2: an issuer has no query or fragment.
    return "has a query or fragment" if "?" in value or "#" in value else None


def _store(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("is not text")  # noqa: TRY004 - pydantic collects ValueErrors only
    if value and (fault := _store_fault(value)):
        raise ValueError(fault)
    return value or None


def _store_fault(value: str) -> str | None:
    """What is wrong with the URL of a store, without repeating it: it may contain a password."""
    scheme, _, rest = value.partition("://")
    if scheme not in {"postgresql", "postgres"}:
        return "is not the URL of a PostgreSQL database"
    if not value.isascii() or not value.isprintable() or " " in value:
        return "has characters that a URL has not"
    # As libpq reads it: the first `@` ends the user, and a `/` or `?` the hosts.
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    hosts = authority.partition("@")[2] if "@" in authority else authority
    if hosts and not all(_HOST_PORT.fullmatch(host) for host in hosts.split(",")):
        return "has a host or port that is none (in a user or password, write %40 for @ and %3A for :)"
    return None


def _networks(value: object) -> object:
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError("is not a list")  # noqa: TRY004 - pydantic collects ValueErrors only
    return tuple(_network(name) for name in names)


def _network(name: object) -> Network:
    try:
        return ipaddress.ip_network(name) if isinstance(name, str) else _never_a_network(name)
    except ValueError as fault:
        raise ValueError(f"has an entry that is no network: {fault}") from None


def _never_a_network(name: object) -> Network:
    raise ValueError(f"{name!r:.60} is not text")


def _mail_address(value: str) -> str:
    if not _MAIL_ADDRESS.fullmatch(value):
        raise ValueError("is not an address of e-mail")
    return value


def _mail_addresses(value: object) -> object:
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError("is not a list")  # noqa: TRY004 - pydantic collects ValueErrors only
    if len(names) > _MAIL_ADDRESSES_MAX:
        raise ValueError("has too many entries")
    if not all(isinstance(name, str) and _MAIL_ADDRESS.fullmatch(name) for name in names):
        raise ValueError("has an entry that is not an address of e-mail")
    return tuple(names)


def _path(value: object) -> object:
    if value == "" or "\0" in str(value):
        raise ValueError("is not a path")
    return value


def _commit_process(value: bool) -> bool:
    if value and not HANDS_OVER_SOCKETS:
        raise ValueError("is not for this system: it cannot hand a socket to another process; leave it out")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]


def _whole(default: int, least: int, most: int, description: str) -> Any:
    return Field(default, ge=least, le=most, description=description)


def _other(default: object, allowed: str, description: str) -> Any:
    return Field(default, description=description, json_schema_extra={"allowed": allowed})


def _hash_workers() -> int:
    """All processors but one, which is the event loop's."""
    return max(1, min(4, processors() - 1))


class Settings(BaseModel):
    """The settings of a server. Names of durations end in their unit, those of bounds in `_max`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: Annotated[Path, BeforeValidator(_path)] = _other(
        DATA,
        "a path; in a file, a relative one starts at the file",
        "The data directory: store, secrets and `licet.toml`.",
    )
    store: Annotated[SecretStr | None, BeforeValidator(_store)] = _other(
        None,
        "a URL like `postgresql://licet@db.example.com/licet`, with several hosts apart by commas",
        "The PostgreSQL database that many nodes share; without it, SQLite in the data directory. A password"
        " may also come from `store_password_file`, `PGPASSWORD` or libpq's password file. To another host"
        " the connection is encrypted and verified (`sslmode=verify-full`, `require_auth=scram-sha-256`)"
        " unless the URL says otherwise.",
    )
    store_password_file: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None,
        "a path; in a file, a relative one starts at the file",
        "The file with the password of the user in `store`, on one line: for the secrets of a container.",
    )
    host: Annotated[str, AfterValidator(_host)] = _other(
        "127.0.0.1", "an IP address or host name", "Where the public listener listens."
    )
    port: Whole = _whole(8080, 0, 65_535, "The public listener's port; 0 takes any that is free.")
    public_url: Annotated[str, AfterValidator(_public_url)] | None = _other(
        None,
        "an absolute http or https URL without user, query and fragment",
        "How clients reach the server: the base of every issuer. Without it, made from `host` and `port`.",
    )
    tls_certificate: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None,
        "a path; in a file, a relative one starts at the file",
        "The file with the certificate of the server, and behind it those that lead to its authority, in PEM:"
        " both listeners then speak TLS 1.2 and 1.3. It is read again when it has changed.",
    )
    tls_key: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None,
        "a path; in a file, a relative one starts at the file",
        "The file with its key, in PEM and without a passphrase. It must not be readable by everybody.",
    )
    admin: bool = Field(
        default=True,
        description="Serve the admin listener: dashboard, admin API and metrics.",
        json_schema_extra={"default": "`true`", "allowed": "true or false"},
    )
    admin_host: Annotated[str, AfterValidator(_host)] = _other(
        "127.0.0.1",
        "an IP address or host name",
        "Where the admin listener listens: for administrators, and not for the network of the clients.",
    )
    admin_port: Whole = _whole(8081, 0, 65_535, "The admin listener's port; 0 takes any that is free.")
    admin_url: Annotated[str, AfterValidator(_public_url)] | None = _other(
        None,
        "an absolute http or https URL without user, query and fragment",
        "How administrators reach the admin listener, where that is by another name than an address or"
        " `localhost`: requests for a name that it does not know are refused.",
    )
    admin_idle_s: Whole = _whole(
        1800, 60, 86_400, "Seconds without use after which an administrator is signed out."
    )
    admin_sign_in_s: Whole = _whole(
        43_200, 60, 2_678_400, "Seconds after which an administrator has to sign in again, used or not."
    )
    metrics_public: bool = Field(
        default=False,
        description="Show the metrics to everybody who can reach the admin listener, without an API key.",
        json_schema_extra={"default": "`false`", "allowed": "true or false"},
    )
    metrics_tenants_max: Whole = _whole(
        200, 0, 10_000, "Tenants with metrics of their own, the oldest; those of all others are one."
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = _other(
        (),
        "IP addresses, and networks in which there is nothing but proxies; in a variable, apart by commas",
        "Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: name your proxies one by one.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto` is `console` on a terminal and `json` elsewhere."
    )
    hash_workers: Whole = Field(
        default_factory=_hash_workers,
        ge=1,
        le=64,
        description="Threads that hash passwords.",
        json_schema_extra={"default": "processors less one, 1 to 4"},
    )
    hash_queue_max: Whole = _whole(
        512,
        2,
        100_000,
        "Passwords of clients that may wait to be hashed, half of them of clients that were good at their"
        " address before. Where one address fills its half it gets 429, and who else finds no room gets 503.",
    )
    hash_memory_mib: Whole = _whole(19, 19, 1024, "Argon2id: memory of one hash, in MiB.")
    hash_time_cost: Whole = _whole(2, 2, 10, "Argon2id: passes over the memory.")
    remember_passwords_s: Whole = _whole(
        43_200,
        0,
        86_400,
        "Seconds without use after which a password that was right is hashed again; 0 is each time.",
    )
    remember_passwords_max: Whole = _whole(50_000, 1, 10_000_000, "Passwords remembered at once.")
    commit_process: Annotated[bool, AfterValidator(_commit_process)] = Field(
        default_factory=lambda: HANDS_OVER_SOCKETS and processors() > 1,
        description="Commit in a process of its own: 1.4 times the grants a second, for 22 MB of memory.",
        json_schema_extra={
            "default": "true where there are two processors; not on Windows",
            "allowed": "true or false",
        },
    )
    batch_commands_max: Whole = _whole(256, 1, 10_000, "Commands that are committed together.")
    queue_commands_max: Whole = _whole(
        4096, 1, 1_000_000, "Commands that may wait for a commit; one more is answered 503."
    )
    connections_max: Whole = _whole(800, 1, 1_000_000, "Open connections; one more is answered 503.")
    connections_per_source_max: Whole | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Open connections of one address, or of one /64 of IPv6; one more is answered 503. For a"
        " host with many programs it may be more. Trusted proxies are not bound by it.",
        json_schema_extra={
            "default": "a tenth of `connections_max`, 10 at least",
            "allowed": "1 to 1000000",
        },
    )
    waiting_requests_max: Whole = _whole(
        256,
        0,
        100_000,
        "Requests that may wait for a seat in the queue of a pool: half of `connections_max` at most, and of"
        " one address as many as it may have connections. One more is answered at once.",
    )
    login_failures_per_client_max: Whole = _whole(
        100,
        1,
        1_000_000,
        "Failed logins of one client in a minute, from each address at which it was good before, and from all"
        " others together; after that they are answered 429.",
    )
    login_failures_per_source_max: Whole = _whole(
        60,
        1,
        1_000_000,
        "Failed logins from one IPv4 address or IPv6 /64 in a minute, 4 times as many from a /56 and 16 times"
        " from a /48; after that they are answered 429.",
    )
    journal_retention_days: Whole = _whole(
        400, 1, 36_500, "Days for which the journal is kept, and what was in use by the minute."
    )
    usage_retention_days: Whole = _whole(
        800, 1, 36_500, "Days for which usage is kept by the hour; never less than the journal."
    )
    webhook_http: bool = Field(
        default=False,
        description="Send webhooks by plain http to other machines, too: who is on the way can read them.",
        json_schema_extra={"default": "`false`", "allowed": "true or false"},
    )
    webhook_private: bool = Field(
        default=False,
        description="Send the webhooks that an owner of one tenant has set to private addresses and to this"
        " machine, too: who sets one then learns what listens there.",
        json_schema_extra={"default": "`false`", "allowed": "true or false"},
    )
    webhook_refused: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = Field(
        default_factory=lambda: METADATA,
        description="Addresses to which no webhook is sent, whatever name resolves to them: the default ones"
        " reveal the secrets of a machine in a cloud.",
        json_schema_extra={
            "default": f"`{' '.join(map(str, METADATA))}`",
            "allowed": "IP addresses and networks like 10.0.0.0/8; in a variable, apart by commas",
        },
    )
    alert_mail_to: Annotated[tuple[str, ...], BeforeValidator(_mail_addresses)] = _other(
        (), _MAIL_ADDRESSES, "The addresses that alerts are e-mailed to; without any, none is e-mailed."
    )
    smtp_host: Annotated[str, AfterValidator(_host)] = _other(
        "localhost", "an IP address or host name", "The mail server that takes the alerts."
    )
    smtp_port: Whole = _whole(587, 1, 65_535, "Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` is for a mail server on this machine: what is sent can be read."
    )
    smtp_user: str | None = _other(None, "a text", "Who signs in to it; without it nobody does.")
    smtp_password_file: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None, "a path", "The file with the password of `smtp_user`; read each time when it is needed."
    )
    smtp_from: Annotated[str, AfterValidator(_mail_address)] = _other(
        "licet@localhost", "an address like licet@example.com", "Who the alerts come from."
    )
    sweep_sessions_max: Whole = _whole(500, 1, 100_000, "Expired sessions cleared away in one commit.")
    shutdown_grace_s: Whole = _whole(10, 0, 3600, "Seconds that open requests get when the server stops.")

    def store_url(self) -> str | None:
        """The URL of the store, possibly with its password: never to be shown."""
        return None if self.store is None else self.store.get_secret_value()

    def base_url(self, port: int | None = None) -> str:
        """The base of every issuer, without a slash at its end.

        `port` is the one that was bound, where the settings leave the choice to the system.
        """
        if self.public_url is not None:
            return self.public_url
        return self._url(self.host, self.port if port is None else port)

    def admin_base_url(self, port: int | None = None) -> str:
        """The URL of the admin listener; `port` as in `base_url`."""
        if self.admin_url is not None:
            return self.admin_url
        return self._url(self.admin_host, self.admin_port if port is None else port)

    def _url(self, host: str, port: int) -> str:
        scheme = "http" if self.tls_certificate is None else "https"
        host = _ANY_ADDRESS.get(host, host)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def allowed(key: str) -> str:
    """The allowed values of a setting, as text for people."""
    field = Settings.model_fields[key]
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        return str(extra["allowed"])
    if choices := get_args(field.annotation):
        return ", ".join(choices)
    bounds = {type(bound).__name__: bound for bound in field.metadata}
    return f"{bounds['Ge'].ge} to {bounds['Le'].le}"
