"""What every email has, whoever carries it: its headers' values, and a plain HTML form of its text."""

import re
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from html import escape

from app.channels.base import OutgoingMessage

NO_SUBJECT = "A message for you"
REPORTS_WITHIN = timedelta(minutes=10)
"""How long we wait for an email provider's own reports about a try whose answer was lost. Most come within seconds."""
_MAX_HEADER = 200
_BLANK_LINES = re.compile(r"\n\s*\n")


def one_line(text: str) -> str:
    """A header's value: no line breaks, which would begin another header, and no control characters."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(line.split())[:_MAX_HEADER]


def subject_of(message: OutgoingMessage) -> str:
    """The subject; an email without one looks like a mistake."""
    return one_line(message.subject or "") or NO_SUBJECT


def mailbox(address: str, name: str | None = None) -> Address:
    """An address as a header has it, with a name before it where one is known.

    Raises:
        ValueError: the address is none, or none that every mail server knows how to write.
    """
    if not address.isascii():
        raise ValueError("the address has characters beyond ASCII")
    try:
        return Address(display_name=one_line(name or ""), addr_spec=address)
    except (MessageError, IndexError) as error:
        raise ValueError("the address is not valid") from error


def html_of(text: str) -> str:
    """The text as paragraphs, every character of it escaped."""
    paragraphs = _BLANK_LINES.split(text.replace("\r\n", "\n").strip())
    return "".join(f"<p>{escape(one.strip()).replace(chr(10), '<br>')}</p>" for one in paragraphs)
