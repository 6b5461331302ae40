"""Runs `licet webhook`: manages the URLs that alerts are sent to, and lists and repeats deliveries.

A secret is shown when it is made and on demand, alone on stdout when that is piped: it is not kept anywhere.
"""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from licet.alerts.deliveries import Delivery, State, deliveries
from licet.alerts.outbox import Attempt, Message, claim_one, record_attempt
from licet.alerts.webhooks import SECRET_OVERLAP_MS, Webhook, changing, find_webhook, webhooks
from licet.cli.errors import Refused, WrongUse
from licet.cli.options import AsJson, Data, OnlyTenant, actor, exclusive
from licet.cli.output import Absent, Instant, Record, note, say, show_list, show_secret
from licet.cli.set_up.owners import OfStore, tenant_id, tenant_name
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.cli.stores import opened, pepper
from licet.cli.suggested_options import of_data
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.formats import counted, duration
from licet.settings.load import load_settings
from licet.settings.model import Settings
from licet.store.contract import Store
from licet.store.paging import LIMIT, LIMIT_MAX

Id = Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")]
UrlStdin = Annotated[
    bool,
    typer.Option("--url-stdin", help="Read the URL from standard input, one line: its path may be a secret."),
]


class OfWebhooks(OfStore):
    """Where webhooks are."""

    @staticmethod
    def changing(store: Store, actor: str) -> Any:
        """Begin a change of the webhooks."""
        return changing(store, actor)


app = SetUpNoun(
    "webhook", OfWebhooks, Id, "Webhooks, to which alerts are sent, signed as in Standard Webhooks."
)


@app.verb("add")
def add(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="Such as https://example.com/alerts; a prompt asks for it, if its path is a secret.",
        ),
    ] = None,
    *,
    url_stdin: UrlStdin = False,
    tenant: OnlyTenant = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a webhook, and show the secret that its messages are signed with.

    Everybody on the machine can read the arguments of a program: do not pass a URL that contains a secret.

    Example: [bold]licet webhook add https://example.com/alerts[/]
    """
    url = _url(url, from_stdin=url_stdin)
    settings, secrets = _settings(data), _secrets(data)
    with opened(data) as store:
        within = tenant_id(store, tenant)
        with changing(store, actor()) as change:
            added = change.add(url, tenant_id=within, http_allowed=settings.webhook_http)
    _show_secret(added, secrets, f"Webhook {added.id} added.", as_json=as_json)


@app.lists("webhook url tenant state created_at", first="https://example.com/alerts")
def records(store: Store) -> Iterator[Record]:
    """List the webhooks.

    Example: [bold]licet webhook list[/]
    """
    with store.reading() as connection:
        found = webhooks(connection)
    for webhook in found:
        yield {
            "webhook": webhook.id,
            "url": webhook.url,
            "tenant": tenant_name(store, webhook.tenant_id),
            "state": "enabled" if webhook.enabled else "disabled",
            "disabled_why": webhook.disabled_why or None,
            "secret_number": webhook.secret_number,
            "created_at": Instant(webhook.created_at_ms),
        }


@app.verb("set")
def set_(
    webhook_id: Id,
    *,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="The new URL.")] = None,
    url_stdin: UrlStdin = False,
    enable: Annotated[bool, typer.Option("--enable", help="Send alerts to it again.")] = False,
    disable: Annotated[
        bool, typer.Option("--disable", help="Send it nothing; waiting messages are given up.")
    ] = (False),
    data: Data = None,
) -> None:
    """Change a webhook. Its secret stays.

    Example: [bold]licet webhook set wh_9f86d081884c --disable[/]
    """
    exclusive(("--enable", enable), ("--disable", disable))
    if url_stdin:
        url = _url(url, from_stdin=True)
    if url is None and not enable and not disable:
        raise WrongUse("say what to change; --help lists the options")
    http_allowed = _settings(data).webhook_http
    enabled = enable if enable or disable else None
    OfWebhooks(data).change(
        f"Webhook {webhook_id} changed",
        lambda change: change.set(webhook_id, url=url, enabled=enabled, http_allowed=http_allowed),
    )


app.removes(method("remove"), "Remove a webhook and its messages.", "wh_9f86d081884c")


@app.verb("secret")
def secret(
    webhook_id: Id,
    *,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new secret first.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show the secret that a webhook's messages are signed with.

    After --rotate, messages are also signed with the previous secret for a day.

    Example: [bold]licet webhook secret wh_9f86d081884c --rotate[/]
    """
    secrets = _secrets(data)
    with opened(data) as store:
        if rotate:
            with changing(store, actor()) as change:
                found = change.rotate(webhook_id)
        else:
            with store.reading() as connection:
                found = find_webhook(connection, webhook_id)
    overlap = duration(SECRET_OVERLAP_MS // 1000)
    done = f"It has a new secret; the one before signs too for {overlap}." if rotate else ""
    _show_secret(found, secrets, done, as_json=as_json)


@app.verb("test")
def try_out(webhook_id: Id, *, data: Data = None) -> None:
    """Send a test message from here, once, and print the answer.

    A server may be in another network than this machine.

    Example: [bold]licet webhook test wh_9f86d081884c[/]
    """
    settings, secrets = _settings(data), _secrets(data)
    with opened(data) as store:
        with changing(store, actor()) as change:
            message_id = change.test(webhook_id)
        message = claim_one(store, message_id)
        if message is None:
            line = f"licet webhook deliveries --webhook {webhook_id}{of_data(data)}"
            say(f"A server is sending message {message_id}: {line}")
            return
        attempt = asyncio.run(_attempt(store, message, settings, secrets))
        record_attempt(store, message, attempt)
    if attempt.error:
        raise Refused(f"message {message_id} was not delivered: {attempt.detail or attempt.error}")
    say(f"Message {message_id} was delivered.")


@app.verb("deliveries")
def show_deliveries(
    *,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="ID", help="Only to this webhook.")
    ] = None,
    state: Annotated[
        State | None, typer.Option("--state", metavar="STATE", help="waiting, delivered or given_up.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="The newest N.", min=1)] = LIMIT,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the messages that were sent, are waiting or were given up, newest first.

    Example: [bold]licet webhook deliveries --state given_up[/]
    """
    with opened(data) as store, store.reading() as connection:
        page = deliveries(connection, webhook_id=webhook, state=state, limit=min(limit, LIMIT_MAX))
    found = [_delivery_record(delivery) for delivery in page.deliveries]
    headings = {
        "message": "message",
        "type": "type",
        "webhook": "webhook",
        "state": "state",
        "attempts": "attempts",
        "created_at": "created",
        "next_at": "next",
        "error": "error",
    }
    show_list(found, headings, as_json=as_json, empty="No message yet.")
    if page.next is not None and not as_json:
        note("There are older ones; --limit shows more.")


@app.verb("redeliver")
def redeliver(
    message_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="As `deliveries` shows them.")
    ] = None,
    *,
    given_up: Annotated[
        bool, typer.Option("--given-up", help=f"The newest messages that were given up, at most {LIMIT_MAX}.")
    ] = False,
    data: Data = None,
) -> None:
    """Have a server send messages again, with the same ids.

    Example: [bold]licet webhook redeliver --given-up[/]
    """
    if bool(message_ids) == given_up:
        raise WrongUse("say which messages, or --given-up")
    with opened(data) as store:
        ids = message_ids or _given_up(store)
        with changing(store, actor()) as change:
            times = change.redeliver(ids)
    if not times and not given_up:
        raise Refused("there is no such message that was delivered or given up, to a webhook that is enabled")
    say(f"{counted(times, 'message')} will be sent again.")


def _url(url: str | None, *, from_stdin: bool) -> str:
    """The URL that is given, on standard input or, where it is not, at a prompt that does not show it."""
    exclusive(("URL", url is not None), ("--url-stdin", from_stdin))
    if url is not None:
        return url
    if from_stdin:
        if line := sys.stdin.readline().strip():
            return line
        raise WrongUse("there is no URL on standard input")
    if not sys.stdin.isatty():
        raise WrongUse("say the URL, or --url-stdin")
    return str(typer.prompt("URL of the webhook", hide_input=True)).strip()


def _given_up(store: Store) -> list[str]:
    with store.reading() as connection:
        found = deliveries(connection, state=State.GIVEN_UP, limit=LIMIT_MAX)
    return [delivery.id for delivery in found.deliveries]


async def _attempt(store: Store, message: Message, settings: Settings, secrets: WebhookSecrets) -> Attempt:
    from licet.alerts.webhook_sender import Posting

    with ThreadPoolExecutor(1) as executor:
        posting = Posting(
            secrets=secrets,
            refused=settings.webhook_refused,
            http_allowed=settings.webhook_http,
            private_allowed=settings.webhook_private,
            user_agent=f"Licet/{version('licet')}",
            executor=executor,
        )
        return await posting.post(message, store.clock.now_ms())


def _settings(data: Path | None) -> Settings:
    return load_settings(overrides={"data": data})


def _secrets(data: Path | None) -> WebhookSecrets:
    return WebhookSecrets(pepper(data))


def _show_secret(webhook: Webhook, secrets: WebhookSecrets, done: str, *, as_json: bool) -> None:
    spelt = secrets.spelt(webhook.id, webhook.secret_number)
    if done:
        note(done)
    record: Record = {"webhook": webhook.id, "secret": spelt, "secret_number": webhook.secret_number}
    show_secret(spelt, record, "Its messages are signed with:", as_json=as_json)


def _delivery_record(delivery: Delivery) -> Record:
    def at(ms: int | None) -> Instant | None:
        return None if ms is None else Instant(ms)

    return {
        "message": delivery.id,
        "type": delivery.type,
        "webhook": Absent("e-mail") if delivery.webhook_id is None else delivery.webhook_id,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "created_at": Instant(delivery.created_at_ms),
        "last_at": at(delivery.last_at_ms),
        "next_at": at(delivery.next_at_ms),
        "delivered_at": at(delivery.delivered_at_ms),
        "error": delivery.last_error or None,
        "payload": delivery.payload,
    }
