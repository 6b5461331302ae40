"""Sends an alert by e-mail: one message in plain text to all addresses.

The rules:

- Where encryption is set, a message is encrypted or not sent.
- The password is read from its file when it is needed, and is in no log, no error and no process list.
- A message has the same Message-ID in each attempt, so that a mail server can detect a repetition.

It blocks: call it in a thread.
"""

import json
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from licet.alerts.destinations import MailServer
from licet.alerts.evaluation import BACK_TO_NORMAL, POOL_DENIED, THRESHOLD_REACHED
from licet.alerts.full_queues import queue_subject
from licet.alerts.licence_ends import EXPIRED, EXPIRES_SOON
from licet.alerts.licence_subjects import licence_subject
from licet.alerts.outbox import Attempt, Message
from licet.alerts.shared_seats import SEAT_SHARED
from licet.seat_sources import counted_addresses

ANSWER_S = 15.0


def mail(server: MailServer, message: Message, answer_s: float = ANSWER_S) -> Attempt:
    """Give a message to the mail server."""
    try:
        with closing(_connected(server, answer_s)) as smtp:
            if server.user is not None:
                smtp.login(server.user, _password(server))
            refused = smtp.send_message(_written(server, message))
            with suppress(smtplib.SMTPException, OSError):  # The message is accepted already.
                smtp.quit()
    except (smtplib.SMTPException, OSError, ValueError) as fault:
        return Attempt(_why(fault))
    return Attempt(f"not taken for {', '.join(refused)}" if refused else "")


def subject(type_: str, data: Mapping[str, Any]) -> str:
    """What happened, in one line."""
    pool = f"{data.get('tenant')}, pool {data.get('pool')}"
    used = f"{data.get('in_use')} of {data.get('seats')} seats in use"
    match type_:
        case _ if type_ == THRESHOLD_REACHED:
            return f"{pool}: {data['threshold']} per cent reached, {data['peak']} of {data['seats']} seats"
        case _ if type_ == BACK_TO_NORMAL:
            return f"{pool}: back to normal, {used}"
        case _ if type_ == POOL_DENIED:
            times = data["denials"]
            return f"{pool}: {times} grant{'' if times == 1 else 's'} denied, {used}"
        case _ if type_ == SEAT_SHARED:
            number = counted_addresses(data["addresses"])
            return f"{pool}: a seat of client {data['client']} was used from {number} addresses in a day"
        case _ if type_ in {EXPIRES_SOON, EXPIRED}:
            return f"{pool}: the licence {_end(type_, data)}"
        case _:
            return queue_subject(type_, data) or licence_subject(type_, data) or type_


def _end(type_: str, data: Mapping[str, Any]) -> str:
    if type_ == EXPIRED:
        return f"has expired, at {data['expires_at']}"
    left = "1 day" if data["days"] == 1 else f"{data['days']} days"
    return (
        f"expires within {left}, at {data['expires_at']},"
        f" {data.get('in_use')} of {data.get('seats')} seats in use"
    )


def _connected(server: MailServer, answer_s: float) -> smtplib.SMTP:
    tls = ssl.create_default_context()
    if server.security == "tls":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=answer_s, context=tls)
    smtp = smtplib.SMTP(server.host, server.port, timeout=answer_s)
    if server.security == "starttls":
        try:
            smtp.starttls(context=tls)
        except BaseException:
            smtp.close()
            raise
    return smtp


def _password(server: MailServer) -> str:
    if server.password_file is None:
        raise ValueError("there is a smtp_user and no smtp_password_file")
    return server.password_file.read_text(encoding="utf-8").rstrip("\r\n")


def _written(server: MailServer, message: Message) -> EmailMessage:
    content = json.loads(message.payload)
    data = content["data"]
    email = EmailMessage()
    email["Subject"] = f"[Licet] {subject(message.type, data)}"
    email["From"] = server.sender
    email["To"] = ", ".join(server.receivers)
    email["Date"] = format_datetime(datetime.fromtimestamp(message.created_at_ms / 1000, tz=UTC))
    email["Message-ID"] = f"<{message.id}@{server.sender.rpartition('@')[2]}>"
    email["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no automatic replies, please
    email.set_content(f"{subject(message.type, data)}.\n\n{_lines(content['timestamp'], data)}")
    return email


def _lines(timestamp: str, data: Mapping[str, Any]) -> str:
    facts = {"time": timestamp, **data}
    width = max(map(len, facts)) + 2
    return "".join(f"{name.replace('_', ' '):{width}}{_fact_text(fact)}\n" for name, fact in facts.items())


def _fact_text(fact: object) -> str:
    texts: Sequence[object] = fact if isinstance(fact, list) else [fact]
    return ", ".join(map(str, texts))


def _why(fault: Exception) -> str:
    match fault:
        case smtplib.SMTPRecipientsRefused():
            return f"not taken for {', '.join(fault.recipients)}"
        case smtplib.SMTPResponseException():
            said = fault.smtp_error
            text = said.decode(errors="replace") if isinstance(said, bytes) else said
            return f"answered {fault.smtp_code} {text}"
        case UnicodeError():
            return "smtp_password_file is not UTF-8"
        case _:
            return f"no answer: {str(fault) or type(fault).__name__}"
