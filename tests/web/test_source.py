"""Where a request comes from: which addresses are one source, and whom a proxy may name."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.web.forwarded import Forwarded
from licet.web.source import ADDRESS_CHARS_MAX, networks_around, parsed, source_of
from support.server.running import PATIENCE_S, RunningServer

PROXY = ("192.0.2.10", 4711)
MAPPED = ("::ffff:192.0.2.10", 4711)


class TestSource:
    """What a limit counts."""

    @pytest.mark.parametrize(
        ("address", "source"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:c000:201", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::/64"),
            ("::1", "::/64"),
            ("", ""),
            ("no:address", "no:address"),
        ],
    )
    def test_it_is_an_ipv4_address_or_the_64_of_an_ipv6_address(self, address: str, source: str) -> None:
        """RFC 4291 2.5.4: a host may choose the last 64 bits."""
        assert source_of(address) == source

    def test_around_an_ipv6_source_are_a_56_and_a_48(self) -> None:
        """RFC 6177: what a customer of a provider has."""
        assert networks_around(source_of("2001:db8:1:234::1")) == ("2001:db8:1:200::/56", "2001:db8:1::/48")

    def test_around_any_other_there_is_none(self) -> None:
        """An IPv4 address is all that one has."""
        assert networks_around("192.0.2.1") == networks_around("") == ()

    @pytest.mark.parametrize("long", ["x" * 3000, "::1%" + "x" * 3000, ":" * 3000])
    def test_nothing_long_is_kept(self, long: str) -> None:
        """An address has 45 characters at most."""
        assert len(source_of(long)) <= ADDRESS_CHARS_MAX


class TestParsed:
    """An address as somebody else wrote it."""

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:0DB8::0001", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            *((text, None) for text in ("", "unknown", "_hidden", "192.0.2.1:80", "192.0.2.01", "::1%1")),
            ("x" * 3000, None),
        ],
    )
    def test_it_has_one_spelling_or_is_none(self, text: str, address: str | None) -> None:
        """RFC 5952 4."""
        assert parsed(text) == address


def seen(forwarded_for: str, peer: tuple[str, int] = PROXY, *, trusted: str = PROXY[0]) -> str:
    """The address that an application sees."""
    scope: dict[str, Any] = {
        "type": "http",
        "client": peer,
        "headers": [(b"x-forwarded-for", forwarded_for.encode())],
    }

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        scope["seen"] = scope["client"][0]

    asyncio.run(Forwarded(application, [trusted])(scope, None, None))
    assert [it for it in scope if it.startswith("licet")] == []
    return str(scope["seen"])


class TestForwarded:
    """X-Forwarded-For."""

    @pytest.mark.parametrize(
        ("forwarded_for", "address"),
        [
            ("198.51.100.1", "198.51.100.1"),
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:DB8::1]:4711", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("203.0.113.1, 198.51.100.1", "198.51.100.1"),
            ("198.51.100.1, 192.0.2.10", "198.51.100.1"),
            ("198.51.100.1, ::ffff:192.0.2.10", "198.51.100.1"),
        ],
    )
    def test_a_trusted_proxy_says_for_whom_it_asks(self, forwarded_for: str, address: str) -> None:
        """The last address that is no trusted proxy."""
        assert seen(forwarded_for) == address

    @pytest.mark.parametrize(
        "forwarded_for", ["", "unknown", "x" * 3000, "::1%" + "x" * 40, "198.51.100.1, ", "198.51.100.1, <b>"]
    )
    def test_what_is_no_address_counts_as_the_proxys_own(self, forwarded_for: str) -> None:
        """What a client makes up is nobody's address, and gets no further."""
        assert seen(forwarded_for) == PROXY[0]

    def test_nobody_else_is_believed(self) -> None:
        """Or each client could choose its address."""
        assert seen("198.51.100.1", ("203.0.113.9", 80)) == "203.0.113.9"

    @pytest.mark.parametrize("trusted", ["192.0.2.10", "192.0.2.10/32", "192.0.2.8/29", "0.0.0.0/0"])
    def test_a_trusted_proxy_is_believed_on_a_socket_of_both_versions(self, trusted: str) -> None:
        """RFC 4291 2.5.5.2: its IPv4 address is shown as one of IPv6."""
        assert seen("2001:db8::1", MAPPED, trusted=trusted) == "2001:db8::1"

    @pytest.mark.parametrize("trusted", ["192.0.2.11", "192.0.2.12/30", "::/96", "2001:db8::/32"])
    def test_no_other_is_believed_there(self, trusted: str) -> None:
        """A network of IPv4 does not become a wider one."""
        assert seen("198.51.100.1", MAPPED, trusted=trusted) == MAPPED[0]

    @pytest.mark.parametrize("is_admin", [False, True], ids=["public", "admin"])
    def test_each_listener_of_both_versions_believes_an_ipv4_proxy(
        self, tmp_path: Path, is_admin: bool
    ) -> None:
        """RFC 4291 2.5.5.2: the log has the address that the proxy names."""
        both: dict[str, Any] = {
            "host": "::",
            "admin_host": "::",
            "admin": True,
            "trusted_proxies": "127.0.0.1",
        }
        with RunningServer(tmp_path, **both) as server:
            port = httpx.URL(server.admin_url if is_admin else server.url).port
            path = "/api/v1/me" if is_admin else "/Jim_Test/introspect"
            url, headers = f"http://127.0.0.1:{port}{path}", {"x-forwarded-for": "198.51.100.7"}
            assert httpx.post(url, headers=headers, timeout=PATIENCE_S).is_client_error
            assert '"address": "198.51.100.7"' in server.log()
