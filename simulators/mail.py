"""The customer's mail server: SMTP catches everything, HTTP shows it; nothing is ever delivered.

`GET /_sim/mails` → `{"mails": [{"id", "from", "to", "subject", "date", "text", "html"}…]}`, oldest
first, decoded; `DELETE /_sim/mails`; `GET /` is a page to read them on.
"""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from html import escape
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from .server import make_app, reply
from .system import JsonObject, System

_KEPT = 10_000
_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Caught mails</title><style>
body {{ font: 16px/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
article {{ border: 1px solid #bbb; border-radius: 4px; padding: 0 1rem; margin: 1rem 0 }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font: inherit }}
iframe {{ width: 100%; height: 32rem; border: 0; resize: vertical; background: #fff }}
small {{ color: #555 }}
</style></head><body><h1>Caught mails ({count})</h1>{mails}</body></html>"""
_MAIL = """<article><h2>{subject}</h2><small>{date}<br>from {sender} to {to}</small>
{text}</article>"""
_HTML = '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" srcdoc="{}"></iframe>'
"""A mail is shown as a mail program shows it: nothing in it runs. Links open in a new window."""


class Mailbox:
    """The caught mails, at most ten thousand, and aiosmtpd's handler for new ones."""

    def __init__(self) -> None:
        self.mails: list[JsonObject] = []
        self._caught = 0

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        self._caught += 1
        self.mails.append(_decoded(self._caught, envelope))
        del self.mails[:-_KEPT]
        return "250 OK"

    def clear(self) -> None:
        self.mails.clear()

    def smtp(self) -> Any:
        """Make the SMTP protocol of one connection."""
        return SMTP(self, enable_SMTPUTF8=True, hostname="simulators.example.com")


def make_mail(mailbox: Mailbox) -> web.Application:
    """Build the HTTP application that shows a mailbox."""

    async def listed(_: web.Request) -> web.Response:
        return reply({"mails": mailbox.mails})

    async def clear(_: web.Request) -> web.Response:
        mailbox.clear()
        return reply({"mails": []})

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_page_of(mailbox.mails), content_type="text/html")

    system = System(
        name="mail",
        refuse=lambda _, code, message: {"code": code, "message": message},
        state=lambda: {"mails": len(mailbox.mails)},
        reset=mailbox.clear,
    )
    return make_app(
        system,
        [
            web.get("/_sim/mails", listed),
            web.delete("/_sim/mails", clear),
            web.get("/", page),
        ],
    )


def _decoded(number: int, envelope: Envelope) -> JsonObject:
    content = envelope.content
    raw = content if isinstance(content, bytes) else str(content or "").encode()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return {
        "id": number,
        "from": envelope.mail_from,
        "to": list(envelope.rcpt_tos),
        "subject": str(message.get("Subject", "")),
        "date": str(message.get("Date", "")),
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
    }


def _part(message: EmailMessage, subtype: str) -> str:
    body = message.get_body((subtype,))
    return "" if body is None else str(body.get_content())


def _page_of(mails: list[JsonObject]) -> str:
    newest_first = "".join(_article(mail) for mail in reversed(mails))
    return _PAGE.format(count=len(mails), mails=newest_first or "<p>No mail yet.</p>")


def _article(mail: JsonObject) -> str:
    return _MAIL.format(
        subject=escape(mail["subject"]) or "(no subject)",
        date=escape(mail["date"]),
        sender=escape(mail["from"] or ""),
        to=escape(", ".join(mail["to"])),
        text=_shown(mail),
    )


def _shown(mail: JsonObject) -> str:
    if mail["html"]:
        return _HTML.format(escape(f'<base target="_blank">{mail["html"]}'))
    return f"<pre>{escape(mail['text'])}</pre>"
