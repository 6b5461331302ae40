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
_MAIL_ADDRESSES = "addresses like ada@example.com; in a variable, separated by commas"


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
        "a URL like `postgresql://licet@db.example.com/licet`; several hosts are separated by commas",
        "The PostgreSQL database that many nodes share; without it, SQLite in the data directory. A password"
        " may also come from `store_password_file`, `PGPASSWORD` or libpq's password file. A connection to"
        " another host is encrypted and verified (`sslmode=verify-full`, `require_auth=scram-sha-256`)"
        " unless the URL says otherwise.",
    )
    store_password_file: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None,
        "a path; in a file, a relative one starts at the file",
        "The file with the password of the user in `store`, on one line; for secrets mounted in a container.",
    )
    host: Annotated[str, AfterValidator(_host)] = _other(
        "127.0.0.1", "an IP address or host name", "The address on which the public listener listens."
    )
    port: Whole = _whole(8080, 0, 65_535, "The public listener's port; 0 takes any free one.")
    public_url: Annotated[str, AfterValidator(_public_url)] | None = _other(
        None,
        "an absolute http or https URL without user, query and fragment",
        "The URL that clients use: the base of every issuer. Default: made from `host` and `port`.",
    )
    tls_certificate: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None,
        "a path; in a file, a relative one starts at the file",
        "The file with the server's certificate followed by its intermediate certificates, in PEM. With it,"
        " both listeners use TLS 1.2 and 1.3. It is read again when it has changed.",
    )
    tls_key: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None,
        "a path; in a file, a relative one starts at the file",
        "The file with the certificate's key, in PEM without a passphrase, not readable by everybody.",
    )
    admin: bool = Field(
        default=True,
        description="Serve the admin listener: dashboard, admin API and metrics.",
        json_schema_extra={"default": "`true`", "allowed": "true or false"},
    )
    admin_host: Annotated[str, AfterValidator(_host)] = _other(
        "127.0.0.1",
        "an IP address or host name",
        "The address on which the admin listener listens; it should not be in the network of the clients.",
    )
    admin_port: Whole = _whole(8081, 0, 65_535, "The admin listener's port; 0 takes any free one.")
    admin_url: Annotated[str, AfterValidator(_public_url)] | None = _other(
        None,
        "an absolute http or https URL without user, query and fragment",
        "The URL that administrators use, if its host is a name other than `localhost`: the admin listener"
        " refuses requests for unknown names.",
    )
    admin_idle_s: Whole = _whole(
        1800, 60, 86_400, "Seconds without use after which an administrator is signed out."
    )
    admin_sign_in_s: Whole = _whole(
        43_200, 60, 2_678_400, "Seconds after which an administrator has to sign in again in any case."
    )
    metrics_public: bool = Field(
        default=False,
        description="Show the metrics to everybody who can reach the admin listener, without an API key.",
        json_schema_extra={"default": "`false`", "allowed": "true or false"},
    )
    metrics_tenants_max: Whole = _whole(
        200, 0, 10_000, "How many tenants, the oldest first, have their own metrics; all others share theirs."
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = _other(
        (),
        "IP addresses, and networks that contain only proxies; in a variable, separated by commas",
        "The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted; better name each by its"
        " address.",
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
        "How many passwords of clients may wait to be hashed; half of the places are for clients that"
        " authenticated from their address before. An address that fills a half gets 429; others without a"
        " place get 503.",
    )
    hash_memory_mib: Whole = _whole(19, 19, 1024, "Argon2id: memory of one hash, in MiB.")
    hash_time_cost: Whole = _whole(2, 2, 10, "Argon2id: passes over the memory.")
    remember_passwords_s: Whole = _whole(
        43_200,
        0,
        86_400,
        "Seconds without use after which a verified password is hashed again; 0 hashes it each time.",
    )
    remember_passwords_max: Whole = _whole(
        50_000, 1, 10_000_000, "How many verified passwords are remembered."
    )
    commit_process: Annotated[bool, AfterValidator(_commit_process)] = Field(
        default_factory=lambda: HANDS_OVER_SOCKETS and processors() > 1,
        description="Commit in a separate process: 1.4 times the grants a second, for 22 MB of memory.",
        json_schema_extra={
            "default": "true with two or more processors, except on Windows",
            "allowed": "true or false",
        },
    )
    batch_commands_max: Whole = _whole(256, 1, 10_000, "How many commands are committed together.")
    queue_commands_max: Whole = _whole(
        4096, 1, 1_000_000, "How many commands may wait for a commit; the next gets 503."
    )
    connections_max: Whole = _whole(
        800,
        1,
        1_000_000,
        "How many connections may be open; the next replaces an idle one of a busier address, or gets 503.",
    )
    connections_per_source_max: Whole | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="How many connections one IPv4 address or IPv6 /64 may have open; the next replaces an"
        " idle one of its own, or gets 503. Raise it for a host with many programs. It does not apply to"
        " trusted proxies.",
        json_schema_extra={
            "default": "a tenth of `connections_max`, at least 10",
            "allowed": "1 to 1000000",
        },
    )
    waiting_requests_max: Whole = _whole(
        256,
        0,
        100_000,
        "How many requests may wait for a seat in the queue of a pool; at most half of `connections_max`, and"
        " for each address as many as its connections. The next is answered at once.",
    )
    login_failures_per_client_max: Whole = _whole(
        100,
        1,
        1_000_000,
        "How many failed authentications one client may have in a minute, from each address from which it"
        " authenticated before, and from all other addresses together; then it gets 429.",
    )
    login_failures_per_source_max: Whole = _whole(
        60,
        1,
        1_000_000,
        "How many failed authentications one IPv4 address or IPv6 /64 may have in a minute, 4 times as many a"
        " /56 and 16 times a /48; then it gets 429.",
    )
    journal_retention_days: Whole = _whole(
        400, 1, 36_500, "How many days Licet keeps the journal, and the usage of each minute."
    )
    usage_retention_days: Whole = _whole(
        800, 1, 36_500, "How many days Licet keeps the usage of each hour; at least as long as the journal."
    )
    webhook_http: bool = Field(
        default=False,
        description="Also send webhooks to other machines by plain http, which anybody on the way can read.",
        json_schema_extra={"default": "`false`", "allowed": "true or false"},
    )
    webhook_private: bool = Field(
        default=False,
        description="Also send webhooks set by an owner of one tenant to private addresses and this machine;"
        " such an owner can then find out what listens there.",
        json_schema_extra={"default": "`false`", "allowed": "true or false"},
    )
    webhook_refused: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = Field(
        default_factory=lambda: METADATA,
        description="Addresses to which no webhook is sent, whatever name resolves to them. At the default"
        " addresses, a cloud gives a machine its secrets.",
        json_schema_extra={
            "default": f"`{' '.join(map(str, METADATA))}`",
            "allowed": "IP addresses and networks like 10.0.0.0/8; in a variable, separated by commas",
        },
    )
    alert_mail_to: Annotated[tuple[str, ...], BeforeValidator(_mail_addresses)] = _other(
        (), _MAIL_ADDRESSES, "The addresses to which alerts are e-mailed; none: no e-mail is sent."
    )
    smtp_host: Annotated[str, AfterValidator(_host)] = _other(
        "localhost", "an IP address or host name", "The mail server that receives the alerts."
    )
    smtp_port: Whole = _whole(587, 1, 65_535, "The mail server's port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` sends unencrypted: only for a mail server on this machine."
    )
    smtp_user: str | None = _other(
        None, "a text", "The user who signs in to the mail server; none: no sign-in."
    )
    smtp_password_file: Annotated[Path | None, BeforeValidator(_path)] = _other(
        None, "a path", "The file with the password of `smtp_user`; read each time it is needed."
    )
    smtp_from: Annotated[str, AfterValidator(_mail_address)] = _other(
        "licet@localhost", "an address like licet@example.com", "The sender of the e-mails."
    )
    sweep_sessions_max: Whole = _whole(500, 1, 100_000, "How many expired sessions one commit deletes.")
    shutdown_grace_s: Whole = _whole(
        10, 0, 3600, "Seconds within which open requests must finish when the server stops."
    )

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
