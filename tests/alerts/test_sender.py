"""Sending alerts to receivers that verify, fail, hang, redirect, talk too much or want nothing any more."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.alerts.deliveries import State
from licet.alerts.outbox import ATTEMPTS_MAX, Attempt
from licet.alerts.webhooks import SECRET_OVERLAP_MS
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.setup.change import changing as changing_setup
from licet.setup.licences import install, trust
from licet.store import schema
from support.alerts.receiver import Handler, Receiver, says
from support.alerts.sending import SECRETS, Sender, post
from support.licences.signed_pools import file_of, text_of, the_vendor, vendor_file
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import ADA, JIM, START_MS

NOW_S = START_MS // 1000
NEW_YEAR_MS = 1_767_225_600_000  # 2026-01-01


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[Sender]:
    """On one kind of store: the outbox is tested on all of them."""
    place: Place = sqlite_places.make(tmp_path, START_MS)
    site = Sender(place)
    site.begin()
    yield site
    site.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


# From a seat to a receiver


def test_an_alert_arrives_signed(site: Sender, receiver: Receiver) -> None:
    """The receiver verifies by the specification alone."""
    webhook = site.add(receiver.url)
    site.grant("c1")
    site.send()
    [request] = receiver.received
    secret = SECRETS.spelt(webhook.id, 1)
    assert request.is_signed(secret, now_s=NOW_S)
    assert not request.is_signed(SECRETS.spelt(webhook.id, 2))
    assert not request._replace(body=request.body + b" ").is_signed(secret)
    assert not request.is_signed(secret, now_s=NOW_S + 301)
    assert request.content == {
        "type": "pool.threshold_reached",
        "timestamp": "2023-11-14T22:14:00Z",
        "data": {
            "tenant": "Jim_Test",
            "pool": "full",
            "seats": 1,
            "in_use": 1,
            "threshold": 100,
            "peak": 1,
        },
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Licet/test"
    assert request.headers["host"] == receiver.url.split("/")[2]
    assert site.outcomes() == [(State.DELIVERED, 1, "")]


def test_an_alert_of_a_signed_licence_arrives(site: Sender, receiver: Receiver) -> None:
    """What a vendor has signed, and an administrator installed, ends in three days."""
    site.add(receiver.url)
    with changing_setup(site.store, ADA) as change:
        trust(change, vendor_file(the_vendor()).encode())
        install(change, JIM, file_of(text_of("full", "all", seats=1, exp=NOW_S + 3 * 86_400)))
    site.send(rounds=3, then_s=5)
    [request] = receiver.received
    assert request.content == {
        "type": "licence.expires_soon",
        "timestamp": "2023-11-14T22:14:00Z",
        "data": {
            "tenant": "Jim_Test",
            "pool": "full",
            "licences": ["C-1"],
            "vendor": "acme",
            "product": "jim2-api",
            "seats_before": 1,
            "seats_after": 0,
            "in_use": 0,
            "expires_at": "2023-11-17T22:14:00Z",
            "days": 7,
        },
    }


def test_ten_thousand_denials_are_two_messages(site: Sender, receiver: Receiver) -> None:
    """The first at once, and all others together."""
    site.add(receiver.url)
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("denied",))
    session = site.grant("c1")
    site.ask("c2")
    site.send()
    for _ in range(10):
        site.ask_often("c2", 1000)
        site.send(then_s=59)
        site.refresh(session)
    site.send(then_s=60)
    site.send()
    assert [it.content["data"]["denials"] for it in receiver.received] == [1, 10_000]


def test_a_receiver_that_fails_gets_it_again_with_the_same_id(site: Sender, receiver: Receiver) -> None:
    """And with another timestamp, so that it is no replay."""
    webhook = site.add(receiver.url)
    receiver.answer = says(503)
    site.grant("c1")
    site.send(rounds=2, then_s=6)
    receiver.answer = says(200, b"thank you")
    site.send()
    site.send(then_s=300)
    site.send()
    first, second, third = receiver.received
    assert first.id == second.id == third.id
    assert [int(it.headers["webhook-timestamp"]) - NOW_S for it in receiver.received] == [0, 6, 312]
    assert all(it.is_signed(SECRETS.spelt(webhook.id, 1)) for it in receiver.received)
    assert site.outcomes() == [(State.DELIVERED, 3, "")]


def test_a_receiver_that_is_away_for_days_is_given_up(site: Sender) -> None:
    """The message stays in the list of those that were given up."""
    with Receiver() as gone:
        site.add(gone.url)
    site.ask("c1")
    site.send(rounds=ATTEMPTS_MAX, then_s=86_400)
    [(state, attempts, error), *_] = site.outcomes()[::-1]
    assert (state, attempts) == (State.GIVEN_UP, ATTEMPTS_MAX)
    assert error.startswith("no answer: ")


def test_a_receiver_that_hangs_keeps_nobody_waiting(site: Sender, receiver: Receiver) -> None:
    """Each webhook has a message under way at most, and all of them go at once."""
    arrived, may_go = threading.Event(), threading.Event()

    def hang(handler: Handler) -> None:
        arrived.wait(60)
        handler.say(204 if may_go.wait(60) else 500)

    def release(handler: Handler) -> None:
        handler.say(204)
        arrived.set()
        may_go.set()

    with Receiver(hang) as slow:
        for _ in range(5):
            site.add(slow.url)
        receiver.answer = release
        site.add(receiver.url)
        site.grant("c1")
        site.send()
        assert len(slow.received) == 5
    assert [state for state, *_ in site.outcomes()] == [State.DELIVERED] * 6


def test_a_receiver_that_wants_nothing_any_more_is_left_alone(site: Sender, receiver: Receiver) -> None:
    """410 Gone."""
    webhook = site.add(receiver.url)
    receiver.answer = says(410)
    site.grant("c1")
    site.ask("c2")
    site.send(rounds=3, then_s=60)
    assert len(receiver.received) == 1
    [row] = [row for row in site.rows(schema.webhook) if row.id == webhook.id]
    assert not row.enabled
    assert {state for state, *_ in site.outcomes()} == {State.GIVEN_UP}


def test_a_crash_between_sending_and_noting_sends_it_again(
    site: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once, with the same id."""
    site.add(receiver.url)
    site.grant("c1")
    with monkeypatch.context() as patch:
        patch.setattr("licet.alerts.sender.record_attempt", lambda *_: None)
        site.send()
    site.send(then_s=61)
    assert len(receiver.received) == 1
    site.send()
    first, second = receiver.received
    assert first.id == second.id
    assert site.outcomes() == [(State.DELIVERED, 2, "")]


def test_nothing_secret_is_logged(site: Sender, receiver: Receiver) -> None:
    """Neither where it went, nor what signed it."""
    webhook = site.add(f"{receiver.url}?token=t0ken")
    site.grant("c1")
    receiver.answer = says(500, b"s3cret")
    site.send()
    logged = json.dumps([str(it) for it in site.log.calls])
    assert webhook.id in logged
    secret = SECRETS.spelt(webhook.id, 1)
    assert not [it for it in ("t0ken", "s3cret", "whsec", secret[6:]) if it in logged]


# One attempt


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(receiver: Receiver, status: int) -> None:
    receiver.answer = says(status)
    assert post(receiver.url) == Attempt()


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_another_status_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.answer = says(status)
    assert post(receiver.url) == Attempt(f"answered {status}")


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("120", 120),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120),
        ("Wed, 31 Dec 2025 00:02:00 GMT", 0),
        ("soon", 0),
        ("Thu, 01 Jan 99999999999 00:02:00 GMT", 0),
        ("Thu, 01 Jan 2026 00:02:00 +99999999999999", 0),
        ("-5", 0),
        ("", 0),
    ],
)
def test_a_receiver_may_say_for_how_long_it_wants_to_be_left_alone(
    receiver: Receiver, header: str, wait_s: int
) -> None:
    """RFC 9110 10.2.3: in seconds, or until a date. What is neither counts for nothing."""
    headers: dict[str, Any] = {"retry-after": header}
    receiver.answer = says(503, **headers)
    assert post(receiver.url, now_ms=NEW_YEAR_MS) == Attempt("answered 503", wait_s=wait_s)


def test_410_is_the_last_one(receiver: Receiver) -> None:
    receiver.answer = says(410)
    assert post(receiver.url) == Attempt("answered 410", is_gone=True)


def test_a_redirection_is_not_followed(receiver: Receiver) -> None:
    """It could lead anywhere."""
    with Receiver() as elsewhere:
        receiver.answer = says(307, location=elsewhere.url)
        assert post(receiver.url) == Attempt("answered 307: redirections are not followed")
        assert elsewhere.received == []


def test_a_huge_answer_is_not_read(receiver: Receiver) -> None:
    """Of an answer the status counts, and nothing else."""
    is_stopped = threading.Event()

    def talk(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(10**12))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 1_000_000)
        except OSError:
            is_stopped.set()

    receiver.answer = talk
    assert post(receiver.url) == Attempt()
    assert is_stopped.wait(60)


def test_an_endless_head_is_a_failure(receiver: Receiver) -> None:
    def talk(handler: Handler) -> None:
        handler.send_response(200)
        for _ in range(1000):
            handler.send_header("x", "y" * 1000)
        handler.end_headers()

    receiver.answer = talk
    assert post(receiver.url).error.startswith("no answer: ")


def test_a_slow_answer_is_a_failure(receiver: Receiver) -> None:
    """All of it has a time, and not each of its parts."""
    is_over = threading.Event()

    def hang(_: Handler) -> None:
        is_over.wait(60)

    receiver.answer = hang
    assert post(receiver.url, answer_s=0.2) == Attempt("no answer within 0.2 s")
    is_over.set()


def test_what_is_no_http_is_a_failure(receiver: Receiver) -> None:
    def talk(handler: Handler) -> None:
        handler.wfile.write(b"what?\r\n\r\n")

    receiver.answer = talk
    assert post(receiver.url).error.startswith("no answer: ")


def test_where_nobody_listens_is_a_failure() -> None:
    with Receiver() as gone:
        pass
    assert post(gone.url).error.startswith("no answer: ")


def test_a_host_that_is_not_there_is_a_failure() -> None:
    """RFC 6761 6.4: `invalid` is no name of a host."""
    assert post("https://alerts.invalid/").error.startswith("no answer: ")


def test_a_certificate_nobody_vouches_for_is_a_failure(receiver: Receiver) -> None:
    """What listens there does not even speak TLS."""
    assert post(receiver.url.replace("http:", "https:")).error.startswith("no answer: ")
    assert receiver.received == []


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://169.254.169.254/latest/meta-data", "169.254.0.0/16"),
        ("https://[::ffff:169.254.169.254]/", "169.254.0.0/16"),
        ("https://[64:ff9b::169.254.169.254]/", "169.254.0.0/16"),  # NAT64
        ("https://[2002:a9fe:a9fe::1]/", "169.254.0.0/16"),  # 6to4
        ("https://[fe80::1]/", "fe80::/10"),
        ("https://localhost/", "127.0.0.0/8"),
        ("https://2852039166/", "169.254.0.0/16"),  # as a number, which a resolver takes, too
    ],
)
def test_some_addresses_are_refused_whatever_they_are_called(url: str, refused: str) -> None:
    """At a link-local address a cloud tells a machine its own secrets."""
    error = post(url, refused=[refused, "::1/128"]).error
    assert "where no webhook is sent (webhook_refused)" in error


def test_plain_http_needs_the_setting(receiver: Receiver) -> None:
    """Also when the webhook was added while it was set."""
    assert post("http://192.0.2.1/").error.endswith("as long as the setting webhook_http is not true")
    assert receiver.received == []


def test_a_name_of_this_machine_is_looked_up(receiver: Receiver) -> None:
    """The host that is asked for stays the name."""
    assert post(receiver.url.replace("127.0.0.1", "localhost")) == Attempt()
    assert receiver.received[0].headers["host"].startswith("localhost:")


def test_after_a_rotation_the_secret_before_signs_too(receiver: Receiver) -> None:
    """For a day, so that a receiver has time to learn the new one."""
    old, new = SECRETS.spelt("wh_1", 1), SECRETS.spelt("wh_1", 2)
    post(receiver.url, number=2, rotated_at_ms=START_MS)
    post(receiver.url, number=2, rotated_at_ms=START_MS, now_ms=START_MS + SECRET_OVERLAP_MS)
    during, after = receiver.received
    assert during.is_signed(old)
    assert during.is_signed(new)
    assert not after.is_signed(old)
    assert after.is_signed(new)
    assert during.content["data"] == {"name": "Zoë"}


def test_a_secret_is_of_its_webhook_and_number_alone() -> None:
    """And of the installation's pepper."""
    spelt: Any = {
        WebhookSecrets(pepper).spelt(webhook_id, number)
        for pepper in (b"p" * 32, b"q" * 32)
        for webhook_id in ("wh_1", "wh_11")
        for number in (1, 11)
    }
    assert len(spelt) == 8
    assert all(it.startswith("whsec_") and len(it) == 50 for it in spelt)
