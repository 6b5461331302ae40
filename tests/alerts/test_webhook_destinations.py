"""Where the webhooks of one tenant go: nobody learns by them what listens behind the server."""

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.alerts.deliveries import State
from licet.alerts.destinations import check_url
from licet.alerts.outbox import Attempt, claim
from licet.alerts.webhook_sender import NOT_REACHED
from licet.model import InvalidValue
from licet.networks import METADATA, is_public, is_within
from licet.settings.load import load_settings
from licet.setup.change import changing as changing_setup
from support.admin.admin_site import OTHER, AdminSite, mistakes
from support.alerts.receiver import Receiver
from support.alerts.sending import Sender, post
from support.store.kinds import SqlitePlaces
from support.store.setup_site import ADA, START_MS

WHO = "owner of Other"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[AdminSite]:
    found = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - to be refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "192.0.0.9",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001::1",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_is_not_of_the_internet_is_not_public(address: str) -> None:
    """RFC 6890 and the registries that it made, and all spellings of an older address in a newer one."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"]
)
def test_what_is_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fe80::a9fe:a9fe",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "192.0.0.192",
        "100.100.100.200",
        "168.63.129.16",
        "::ffff:169.254.169.254",
    ],
)
def test_where_clouds_tell_a_machine_its_secrets_nothing_is_sent_by_default(
    address: str, tmp_path: Path
) -> None:
    """For nobody, an owner of all tenants neither."""
    refused = load_settings(overrides={"data": tmp_path}).webhook_refused
    assert refused == METADATA
    assert is_within(ipaddress.ip_address(address), refused)


class TestSending:
    """A webhook that an owner of one tenant has set, when a message is sent."""

    def test_every_fault_of_a_connection_is_told_by_one_text(self, receiver: Receiver) -> None:
        """An open port, a closed one, one that speaks no TLS, a name that is none, addresses of a cloud."""
        with Receiver() as gone:
            pass
        port, closed = _port(receiver), _port(gone)
        told, details = set(), set()
        for url in (
            f"https://2130706433:{port}/",  # 127.0.0.1 as a number, which a resolver takes
            f"https://0x7f.1:{port}/",
            f"https://2130706433:{closed}/",
            "https://alerts.invalid/",
            "https://2852039166/latest/meta-data",
        ):
            attempt = post(url, private_allowed=False)
            told.add(attempt.error)
            details.add(attempt.detail)
        assert told == {NOT_REACHED}
        assert any("is at 127.0.0.1" in it and "webhook_private" in it for it in details)  # for the log
        assert receiver.received == []

    def test_a_fault_behind_a_public_address_is_told_by_the_same_text(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lookup that fails, a host without an address, a timeout: an attempt that got no answer."""

        def no_address(*_: Any, **__: Any) -> list[Any]:
            return []

        monkeypatch.setattr(socket, "getaddrinfo", no_address)
        assert post("https://example.com/", private_allowed=False).error == NOT_REACHED
        monkeypatch.undo()
        assert post("https://1.1.1.1/", private_allowed=False, answer_s=0).error == NOT_REACHED

    def test_one_private_address_among_public_ones_is_enough(
        self, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
    ) -> None:
        """A name may stand for several; none of them is tried."""
        monkeypatch.setattr(socket, "getaddrinfo", _answers(["1.1.1.1", "127.0.0.1"], _port(receiver)))
        attempt = post(f"https://example.com:{_port(receiver)}/", private_allowed=False)
        assert attempt == Attempt(NOT_REACHED, detail=attempt.detail)
        assert "example.com is at 127.0.0.1" in attempt.detail

    def test_the_connection_goes_to_the_address_that_was_looked_at(
        self, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
    ) -> None:
        """A name that stands for another address a moment later (DNS rebinding) is not asked about again."""
        first, looked_up = _answers(["127.0.0.1"], _port(receiver)), []

        def changing(host: Any, *more: Any, **options: Any) -> Any:
            if host == "localhost":
                looked_up.append(host)
            return first(host) if len(looked_up) == 1 else _answers(["127.0.0.2"], 1)(host, *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", changing)
        assert post(f"http://localhost:{_port(receiver)}/") == Attempt()
        assert looked_up == ["localhost"]

    def test_the_setting_lets_them_go_to_private_addresses(self, receiver: Receiver) -> None:
        """`webhook_private`: then the answers say what they are, as to an owner of all tenants."""
        assert post(receiver.url, private_allowed=False, setting=True) == Attempt()
        with Receiver() as gone:
            pass
        assert post(gone.url, private_allowed=False, setting=True).error.startswith("no answer: ")
        assert post(receiver.url, private_allowed=True) == Attempt()

    def test_the_log_says_what_the_tenant_is_not_told(
        self, sqlite_places: SqlitePlaces, tmp_path: Path, receiver: Receiver
    ) -> None:
        """The list of deliveries has the one text; whoever runs the server finds out why."""
        sender = Sender(sqlite_places.make(tmp_path, START_MS))
        sender.begin()
        sender.add(f"https://2130706433:{_port(receiver)}/T0KEN", within=sender.tenant.id)
        sender.grant("c1")
        sender.send()
        [outcome, *_] = sender.outcomes()
        assert outcome == (State.WAITING, 1, NOT_REACHED)
        lines = repr(sender.log.calls)
        assert "webhook_private" in lines
        assert "T0KEN" not in lines
        sender.close()


class TestSetting:
    """Who has set the URL decides where it goes."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://a.localhost:8443/",
            "https://10.0.0.1/alerts",
            "https://[::1]/",
            "https://[::ffff:192.168.0.1]/",
            "https://169.254.169.254/",
            "http://127.0.0.1/",
        ],
    )
    def test_an_address_that_is_not_public_is_refused_when_it_is_set(self, site: AdminSite, url: str) -> None:
        """By the API, for a new webhook and for one that is there; an owner of all tenants may."""
        refused = site.call("POST", "/webhooks", WHO, json={"url": url})
        [told] = mistakes(refused).values()
        assert told.startswith("A webhook is a URL like")
        made = site.call("POST", "/webhooks", WHO, json={"url": "https://example.com/"}).json()
        path = f"/webhooks/{made['id']}"
        assert mistakes(site.call("PATCH", path, WHO, if_match="*", json={"url": url}))
        assert site.call("POST", "/webhooks", json={"url": url, "tenant": OTHER}).status_code == 201

    def test_it_goes_with_whoever_set_the_url_last(self, site: AdminSite) -> None:
        """What an owner of all made loses it when the tenant's owner changes where it goes, and not else."""
        made = site.call("POST", "/webhooks", json={"url": "https://10.0.0.1/a", "tenant": OTHER}).json()
        path = f"/webhooks/{made['id']}"
        assert made["private_allowed"]

        def change(who: str, **body: Any) -> bool:
            shown = site.call("PATCH", path, who, if_match="*", json=body).json()
            return bool(shown["private_allowed"])

        assert change(WHO, enabled=False, url="https://10.0.0.1/a")
        assert not change(WHO, url="https://example.com/b", enabled=True)
        assert not change("owner", enabled=False)
        assert not change("owner", url="https://example.com/b", enabled=True)  # it says the same: no change
        assert change("owner", url="https://example.com/c")

    def test_the_alerts_of_all_tenants_may_go_inside(self, site: AdminSite) -> None:
        """Only an owner of all tenants sets such a webhook."""
        assert site.call("POST", "/webhooks", json={"url": "https://10.0.0.1/"}).json()["private_allowed"]

    def test_messages_know_it(self, site: AdminSite) -> None:
        """Each claim reads it anew: what is queued follows the webhook."""
        mine = site.call("POST", "/webhooks", WHO, json={"url": "https://example.com/"}).json()["id"]
        theirs = site.call("POST", "/webhooks", json={"url": "https://10.0.0.1/", "tenant": OTHER}).json()[
            "id"
        ]
        every = site.call("POST", "/webhooks", json={"url": "https://10.0.0.1/"}).json()["id"]
        for webhook_id in (mine, theirs, every):
            assert site.call("POST", f"/webhooks/{webhook_id}/test").status_code == 202
        claimed = {it.webhook_id: it.private_allowed for it in claim(site.store)}
        assert claimed == {mine: False, theirs: True, every: True}

    def test_with_the_setting_the_owner_of_a_tenant_may(self, site: AdminSite) -> None:
        """`webhook_private`."""
        node = site.another_node(site.store, webhook_private=True)
        made = site.call("POST", "/webhooks", WHO, json={"url": "https://10.0.0.1/"}, node=node)
        assert (made.status_code, made.json()["private_allowed"]) == (201, False)

    def test_a_webhook_from_before_goes_to_public_addresses(self, site: AdminSite) -> None:
        """Nobody knows who set it: of one tenant, it may have been its owner."""
        with changing_setup(site.store, ADA) as change:
            change.transaction.connection.exec_driver_sql(
                "INSERT INTO webhook (id, tenant_id, url, enabled, created_at_ms)"
                " SELECT 'wh_0', id, 'https://10.0.0.1/', 1, 0 FROM tenant WHERE name = 'Other'"
            )
        assert not site.get("/webhooks/wh_0")["private_allowed"]


def test_a_url_is_looked_at_by_its_form_too() -> None:
    """What is no URL is refused whoever sets it."""
    for url in ("https://", "https://a:b@example.com/", "https://example.com:x/", "ftp://example.com/"):
        with pytest.raises(InvalidValue):
            check_url(url, http_allowed=True)
    check_url("https://example.com/", http_allowed=False, private_allowed=False)


def _port(receiver: Receiver) -> int:
    return int(receiver.url.rstrip("/").split("/")[2].rpartition(":")[2])


def _answers(addresses: list[str], port: int) -> Any:
    """A resolver that knows these addresses for every name."""

    def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return found
