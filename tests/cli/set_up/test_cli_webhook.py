"""`licet webhook` and `licet alerts`."""

import re
from collections.abc import Iterator

import pytest

from licet.alerts.evaluation import look
from licet.clock import SystemClock
from licet.store.sqlite.store import SqliteStore
from support.alerts.receiver import Receiver, says
from support.cli.cli_site import TENANT, CommandLine
from support.cli.command_line import terminal

URL = "https://example.com/alerts"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def add(cli: CommandLine, url: str = URL) -> str:
    """A webhook; its id."""
    webhook_id: str = cli.json("webhook", "add", url)["webhook"]
    return webhook_id


def test_a_webhook_is_added_and_its_secret_is_alone_on_stdout(cli: CommandLine) -> None:
    added = cli.run("webhook", "add", URL, "--tenant", TENANT)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=\n", added.stdout)
    told = re.fullmatch(r"Webhook (wh_[0-9a-f]{12}) added\.\n", added.stderr)
    assert told is not None
    assert cli.out("webhook", "secret", told[1]) == added.stdout
    [record] = cli.json("webhook", "list")
    assert record | {"created_at": ""} == {
        "webhook": told[1],
        "url": URL,
        "tenant": TENANT,
        "state": "enabled",
        "disabled_why": None,
        "secret_number": 1,
        "created_at": "",
    }


def test_a_url_with_a_secret_in_it_needs_not_be_an_argument(cli: CommandLine) -> None:
    """Everybody on a machine can read the arguments of a program."""
    added = cli.run("webhook", "add", "--url-stdin", "--json", stdin=f"{URL}/T0KEN\n")
    [record] = cli.json("webhook", "list")
    assert record["url"] == f"{URL}/T0KEN"
    assert "T0KEN" not in added.output
    cli.run("webhook", "set", record["webhook"], "--url-stdin", stdin=f"{URL}/0THER\n")
    assert cli.json("webhook", "list")[0]["url"] == f"{URL}/0THER"


def test_a_url_is_asked_for_on_a_terminal_and_not_shown(cli: CommandLine) -> None:
    with terminal("webhook", "add", "--data", str(cli.data)) as screen:
        screen.read_until("URL of the webhook: ")  # with the space, nothing more is discarded
        screen.press(f"{URL}/T0KEN\n")
        assert screen.ended() == 0
    assert "T0KEN" not in screen.text
    assert "whsec_" in screen.text
    [record] = cli.json("webhook", "list")
    assert record["url"] == f"{URL}/T0KEN"


def test_where_there_is_no_url_it_says_how_to_give_one(cli: CommandLine) -> None:
    assert cli.error("webhook", "add", exit_code=2) == "say the URL, or --url-stdin"
    assert cli.error("webhook", "add", "--url-stdin", exit_code=2) == "there is no URL on standard input"
    both = cli.error("webhook", "add", URL, "--url-stdin", exit_code=2)
    assert both == "URL and --url-stdin exclude each other"
    assert cli.json("webhook", "list") == []


def test_a_secret_is_kept_nowhere(cli: CommandLine) -> None:
    """It is made of the pepper, which a stolen database has not."""
    secret = cli.json("webhook", "add", URL)["secret"]
    for file in cli.data.iterdir():
        assert secret.encode() not in file.read_bytes()


def test_a_secret_is_rotated(cli: CommandLine) -> None:
    webhook_id = add(cli)
    before = cli.out("webhook", "secret", webhook_id)
    rotated = cli.run("webhook", "secret", webhook_id, "--rotate")
    assert rotated.stderr == "It has a new secret; the one before signs too for 1d.\n"
    assert rotated.stdout != before
    assert cli.json("webhook", "secret", webhook_id) == {
        "webhook": webhook_id,
        "secret": rotated.stdout.strip(),
        "secret_number": 2,
    }


def test_a_webhook_is_changed_and_removed(cli: CommandLine) -> None:
    webhook_id = add(cli)
    assert cli.out("webhook", "set", webhook_id, "--disable") == f"Webhook {webhook_id} changed.\n"
    assert cli.json("webhook", "list")[0]["state"] == "disabled"
    assert cli.out("webhook", "set", webhook_id, "--disable") == "Nothing to change.\n"
    cli.run("webhook", "set", webhook_id, "--enable", "--url", "https://other.example.com/")
    assert cli.out("webhook", "list").splitlines()[1].split()[1:4] == [
        "https://other.example.com/",
        "all",
        "enabled",
    ]
    assert cli.out("webhook", "remove", webhook_id, "--yes") == f"Webhook {webhook_id} removed.\n"
    assert cli.json("webhook", "list") == []


def test_a_test_message_is_sent_at_once(cli: CommandLine, receiver: Receiver) -> None:
    """Also where no server runs."""
    added = cli.json("webhook", "add", receiver.url)
    told = cli.out("webhook", "test", added["webhook"])
    [request] = receiver.received
    assert told == f"Message {request.id} was delivered.\n"
    assert request.is_signed(added["secret"], now_s=SystemClock().now_ms() // 1000)
    assert request.content["data"] == {"webhook": added["webhook"]}
    [record] = cli.json("webhook", "deliveries", "--state", "delivered")
    assert (record["message"], record["attempts"]) == (request.id, 1)


def test_a_message_that_was_given_up_is_sent_again(cli: CommandLine, receiver: Receiver) -> None:
    receiver.answer = says(410)
    webhook_id = add(cli, receiver.url)
    error = cli.error("webhook", "test", webhook_id)
    message_id = receiver.received[0].id
    assert error == f"message {message_id} was not delivered: answered 410"
    assert cli.json("webhook", "list")[0]["disabled_why"] == "answered 410: no more is sent there"
    told = "there is no such message that was delivered or given up, to a webhook that is enabled"
    assert cli.error("webhook", "redeliver", message_id) == told
    cli.run("webhook", "set", webhook_id, "--enable")
    assert cli.out("webhook", "redeliver", "--given-up") == "1 message will be sent again.\n"
    assert cli.out("webhook", "redeliver", "--given-up") == "0 messages will be sent again.\n"
    [line] = cli.out("webhook", "deliveries", "--webhook", webhook_id).splitlines()[1:]
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
def test_what_cannot_be_done_is_told(cli: CommandLine, arguments: str, exit_code: int, told: str) -> None:
    assert cli.error("webhook", *arguments.split(), exit_code=exit_code).startswith(told)


def test_what_is_raised_is_shown(cli: CommandLine) -> None:
    assert cli.run("alerts").stderr == "Nothing is raised.\n"
    cli.run("pool", "set", "full", "--seats", "1", "--alerts", "90 denied")
    cli.grant("TestClientId")
    store = SqliteStore(cli.store_file, SystemClock())
    assert look(store) == 0, "there is no receiver"
    store.close()
    heading, line = cli.out("alerts").splitlines()
    assert heading.split() == ["tenant", "pool", "alert", "in", "use", "seats", "since", "reported"]
    assert line.split()[:5] == [TENANT, "full", "90%", "1", "1"]
    [record] = cli.json("alerts", "--tenant", TENANT)
    assert (record["alert"], record["in_use"]) == ("90%", 1)
