"""`licet webhook` and `licet alerts`."""

import re
from collections.abc import Iterator

import pytest

from licet.alerts.evaluation import look
from licet.clock import SystemClock
from licet.store.sqlite.store import SqliteStore
from support.alerts.receiver import Receiver, says
from support.cli.cli_site import TENANT, Desk
from support.cli.command_line import terminal

URL = "https://example.com/alerts"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def add(desk: Desk, url: str = URL) -> str:
    """A webhook; its id."""
    webhook_id: str = desk.json("webhook", "add", url)["webhook"]
    return webhook_id


def test_a_webhook_is_added_and_its_secret_is_alone_on_stdout(desk: Desk) -> None:
    added = desk.run("webhook", "add", URL, "--tenant", TENANT)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=\n", added.stdout)
    told = re.fullmatch(r"Webhook (wh_[0-9a-f]{12}) added\.\n", added.stderr)
    assert told is not None
    assert desk.out("webhook", "secret", told[1]) == added.stdout
    [record] = desk.json("webhook", "list")
    assert record | {"created_at": ""} == {
        "webhook": told[1],
        "url": URL,
        "tenant": TENANT,
        "state": "enabled",
        "disabled_why": None,
        "secret_number": 1,
        "created_at": "",
    }


def test_a_url_with_a_secret_in_it_needs_not_be_an_argument(desk: Desk) -> None:
    """Everybody on a machine can read the arguments of a program."""
    added = desk.run("webhook", "add", "--url-stdin", "--json", stdin=f"{URL}/T0KEN\n")
    [record] = desk.json("webhook", "list")
    assert record["url"] == f"{URL}/T0KEN"
    assert "T0KEN" not in added.output
    desk.run("webhook", "set", record["webhook"], "--url-stdin", stdin=f"{URL}/0THER\n")
    assert desk.json("webhook", "list")[0]["url"] == f"{URL}/0THER"


def test_a_url_is_asked_for_on_a_terminal_and_not_shown(desk: Desk) -> None:
    with terminal("webhook", "add", "--data", str(desk.data)) as screen:
        screen.read_until("URL of the webhook: ")  # with the space, nothing more is discarded
        screen.press(f"{URL}/T0KEN\n")
        assert screen.ended() == 0
    assert "T0KEN" not in screen.text
    assert "whsec_" in screen.text
    [record] = desk.json("webhook", "list")
    assert record["url"] == f"{URL}/T0KEN"


def test_where_there_is_no_url_it_says_how_to_give_one(desk: Desk) -> None:
    assert desk.error("webhook", "add", exit_code=2) == "say the URL, or --url-stdin"
    assert desk.error("webhook", "add", "--url-stdin", exit_code=2) == "there is no URL on standard input"
    both = desk.error("webhook", "add", URL, "--url-stdin", exit_code=2)
    assert both == "URL and --url-stdin exclude each other"
    assert desk.json("webhook", "list") == []


def test_a_secret_is_kept_nowhere(desk: Desk) -> None:
    """It is made of the pepper, which a stolen database has not."""
    secret = desk.json("webhook", "add", URL)["secret"]
    for file in desk.data.iterdir():
        assert secret.encode() not in file.read_bytes()


def test_a_secret_is_rotated(desk: Desk) -> None:
    webhook_id = add(desk)
    before = desk.out("webhook", "secret", webhook_id)
    rotated = desk.run("webhook", "secret", webhook_id, "--rotate")
    assert rotated.stderr == "It has a new secret; the one before signs too for 1d.\n"
    assert rotated.stdout != before
    assert desk.json("webhook", "secret", webhook_id) == {
        "webhook": webhook_id,
        "secret": rotated.stdout.strip(),
        "secret_number": 2,
    }


def test_a_webhook_is_changed_and_removed(desk: Desk) -> None:
    webhook_id = add(desk)
    assert desk.out("webhook", "set", webhook_id, "--disable") == f"Webhook {webhook_id} changed.\n"
    assert desk.json("webhook", "list")[0]["state"] == "disabled"
    assert desk.out("webhook", "set", webhook_id, "--disable") == "Nothing to change.\n"
    desk.run("webhook", "set", webhook_id, "--enable", "--url", "https://other.example.com/")
    assert desk.out("webhook", "list").splitlines()[1].split()[1:4] == [
        "https://other.example.com/",
        "all",
        "enabled",
    ]
    assert desk.out("webhook", "remove", webhook_id, "--yes") == f"Webhook {webhook_id} removed.\n"
    assert desk.json("webhook", "list") == []


def test_a_test_message_is_sent_at_once(desk: Desk, receiver: Receiver) -> None:
    """Also where no server runs."""
    added = desk.json("webhook", "add", receiver.url)
    told = desk.out("webhook", "test", added["webhook"])
    [request] = receiver.received
    assert told == f"Message {request.id} was delivered.\n"
    assert request.is_signed(added["secret"], now_s=SystemClock().now_ms() // 1000)
    assert request.content["data"] == {"webhook": added["webhook"]}
    [record] = desk.json("webhook", "deliveries", "--state", "delivered")
    assert (record["message"], record["attempts"]) == (request.id, 1)


def test_a_message_that_was_given_up_is_sent_again(desk: Desk, receiver: Receiver) -> None:
    receiver.answer = says(410)
    webhook_id = add(desk, receiver.url)
    error = desk.error("webhook", "test", webhook_id)
    message_id = receiver.received[0].id
    assert error == f"message {message_id} was not delivered: answered 410"
    assert desk.json("webhook", "list")[0]["disabled_why"] == "answered 410: no more is sent there"
    told = "there is no such message that was delivered or given up, to a webhook that is enabled"
    assert desk.error("webhook", "redeliver", message_id) == told
    desk.run("webhook", "set", webhook_id, "--enable")
    assert desk.out("webhook", "redeliver", "--given-up") == "1 message will be sent again.\n"
    assert desk.out("webhook", "redeliver", "--given-up") == "0 messages will be sent again.\n"
    [line] = desk.out("webhook", "deliveries", "--webhook", webhook_id).splitlines()[1:]
    assert line.split()[:5] == [message_id, "webhook.test", webhook_id, "waiting", "0"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ("add http://example.com/", 2, "a webhook is a URL like https://example.com/alerts; http goes to"),
        (f"add {URL} --tenant Nobody", 1, "there is no tenant Nobody"),
        ("set wh_0 --disable", 1, "there is no webhook wh_0; licet webhook list shows"),
        ("set wh_0", 2, "say what to change"),
        ("set wh_0 --enable --disable", 2, "--enable and --disable exclude each other"),
        ("secret wh_0", 1, "there is no webhook wh_0"),
        ("secret wh_0 --rotate", 1, "there is no webhook wh_0"),
        ("test wh_0", 1, "there is no webhook wh_0"),
        ("remove wh_0 --yes", 1, "there is no webhook wh_0"),
        ("remove wh_0", 2, "Remove webhook wh_0? Nobody can be asked here; say --yes"),
        ("redeliver", 2, "say which messages, or --given-up"),
        ("deliveries --state lost", 2, "invalid value for '--state'"),
    ],
)
def test_what_cannot_be_done_is_told(desk: Desk, arguments: str, exit_code: int, told: str) -> None:
    assert desk.error("webhook", *arguments.split(), exit_code=exit_code).startswith(told)


def test_what_is_raised_is_shown(desk: Desk) -> None:
    assert desk.run("alerts").stderr == "Nothing is raised.\n"
    desk.run("pool", "set", "full", "--seats", "1", "--alerts", "90 denied")
    desk.grant("TestClientId")
    store = SqliteStore(desk.store_file, SystemClock())
    assert look(store) == 0, "there is no receiver"
    store.close()
    heading, line = desk.out("alerts").splitlines()
    assert heading.split() == ["tenant", "pool", "alert", "in", "use", "seats", "since", "reported"]
    assert line.split()[:5] == [TENANT, "full", "90%", "1", "1"]
    [record] = desk.json("alerts", "--tenant", TENANT)
    assert (record["alert"], record["in_use"]) == ("90%", 1)
