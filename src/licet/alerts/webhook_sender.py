"""Posts one message to a webhook, signed as Standard Webhooks says.

The rules:

- Of an answer only the status counts, and with an error how long to wait (RFC 9110 section 10.2.3): its body
  is not read, and no redirection is followed.
- An attempt takes `answer_s` at most, however slowly a receiver answers.
- A webhook that an administrator of one tenant set is sent to public addresses only, and every attempt
  without an answer has the same text: the difference would reveal what listens where.
- A host is resolved once, and the connection goes to the address that was checked: a name cannot resolve to
  one address for the check and to a refused one a moment later. No proxy is used.

It imports an HTTP client: a server does so when there is something to send.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import Executor
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from urllib.parse import urlsplit

import certifi
import httpx

from licet.alerts.destinations import check_url
from licet.alerts.outbox import Attempt, Message
from licet.alerts.webhooks import SECRET_OVERLAP_MS
from licet.credentials.webhook_signatures import WebhookSecrets, sign
from licet.model import InvalidValue
from licet.networks import Address, Network, is_public, is_within

ANSWER_S = 15.0  # Standard Webhooks, "Request timeouts": 15 to 30 s
ADDRESSES_MAX = 4  # of a host with many, so many are tried

NOT_REACHED = "no answer: its host has no public address, or nobody there takes messages by TLS"

_DIGITS = re.compile("[0-9]{1,9}")


class Posting:
    """Sends messages. `executor` resolves names, which may take long."""

    def __init__(
        self,
        *,
        secrets: WebhookSecrets,
        refused: Sequence[Network],
        http_allowed: bool,
        private_allowed: bool,
        user_agent: str,
        executor: Executor,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._secrets = secrets
        self._refused = tuple(refused)
        self._http_allowed = http_allowed
        self._private_allowed = private_allowed  # for the webhooks of one tenant, too
        self._user_agent = user_agent
        self._executor = executor
        self._answer_s = answer_s
        self._tls = _authorities()

    async def post(self, message: Message, now_ms: int) -> Attempt:
        """Send a message at this instant."""
        assert message.url is not None
        private_allowed = message.private_allowed or self._private_allowed
        try:  # The settings may have changed.
            check_url(message.url, http_allowed=self._http_allowed, private_allowed=private_allowed)
        except InvalidValue as fault:
            return Attempt(str(fault))
        try:
            async with asyncio.timeout(self._answer_s):
                addresses = await self._addresses(message.url, private_allowed=private_allowed)
                answered = await self._answer(message.url, addresses, message, now_ms)
        except (TimeoutError, _Refused, httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as fault:
            why = self._why(fault)
            return Attempt(why) if private_allowed else Attempt(NOT_REACHED, detail=why)
        return _judged(answered, now_ms)

    def _why(self, fault: Exception) -> str:
        match fault:
            case TimeoutError():
                return f"no answer within {self._answer_s:g} s"
            case _Refused():
                return str(fault)
            case _:
                return f"no answer: {str(fault) or type(fault).__name__}"

    async def _answer(
        self, url: str, addresses: Sequence[str], message: Message, now_ms: int
    ) -> httpx.Response:
        body = message.payload.encode()
        target = httpx.URL(url)
        fault: Exception | None = None
        for address in addresses[:ADDRESSES_MAX]:
            transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
            async with httpx.AsyncClient(
                transport=transport, timeout=self._answer_s, trust_env=False, follow_redirects=False
            ) as client:
                request = client.build_request(
                    "POST",
                    target.copy_with(host=address),
                    content=body,
                    headers={
                        "host": target.netloc.decode("ascii"),
                        "content-type": "application/json",
                        "user-agent": self._user_agent,
                        **self._signed(message, body, now_ms // 1000),
                    },
                    # The certificate has to match the name, not the address.
                    extensions={"sni_hostname": target.raw_host.decode("ascii")},
                )
                try:
                    response = await client.send(request, stream=True)
                except httpx.ConnectError as not_there:
                    fault = not_there
                    continue
                await response.aclose()
                return response
        raise fault or _Refused("its host has no address")

    async def _addresses(self, url: str, *, private_allowed: bool) -> list[str]:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        found = await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for address in addresses:
            if setting := self._refusing(ipaddress.ip_address(address), private_allowed=private_allowed):
                raise _Refused(f"{host} is at {address}, where no webhook is sent ({setting})")
        return addresses

    def _refusing(self, address: Address, *, private_allowed: bool) -> str:
        """The setting by which nothing is sent to this address; '' where there is none."""
        if is_within(address, self._refused):
            return "webhook_refused"
        return "" if private_allowed or is_public(address) else "webhook_private"

    def _signed(self, message: Message, body: bytes, timestamp_s: int) -> dict[str, str]:
        numbers = [message.secret_number]
        rotated_at_ms = message.rotated_at_ms
        if rotated_at_ms is not None and timestamp_s * 1000 < rotated_at_ms + SECRET_OVERLAP_MS:
            numbers.append(message.secret_number - 1)
        keys = [self._secrets.key(message.webhook_id, number) for number in numbers]
        return {
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(sign(key, message.id, timestamp_s, body) for key in keys),
        }


@cache
def _authorities() -> ssl.SSLContext:
    """The system's authorities, and those of the HTTP client where the system has none, or an old list.

    They are read once for a process, which takes some 40 ms.
    """
    tls = ssl.create_default_context()
    tls.load_verify_locations(certifi.where())
    return tls


class _Refused(Exception):
    """The address is not allowed."""


def _judged(answered: httpx.Response, now_ms: int) -> Attempt:
    status = answered.status_code
    if HTTPStatus(200) <= status < HTTPStatus(300):
        return Attempt()
    if HTTPStatus(300) <= status < HTTPStatus(400):
        return Attempt(f"answered {status}: redirections are not followed")
    wait_s = _seconds(answered.headers.get("retry-after", ""), now_ms)
    return Attempt(f"answered {status}", is_gone=status == HTTPStatus.GONE, wait_s=wait_s)


def _seconds(retry_after: str, now_ms: int) -> int:
    """A number of seconds, or a date; 0 for anything else."""
    if _DIGITS.fullmatch(retry_after):
        return int(retry_after)
    try:
        moment_s = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):  # an offset or a year out of range
        return 0
    return max(0, round(moment_s - now_ms / 1000))
