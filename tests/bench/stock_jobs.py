"""The work as a user of stock RQ writes it: a job that sends through Twilio's SDK."""

import functools
import os

from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client


@functools.cache
def _client() -> Client:
    client = Client(
        os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"], http_client=TwilioHttpClient(timeout=10)
    )
    client.api.base_url = os.environ["TWILIO_API_BASE_URL"]
    return client


def send(to: str, sender: str, body: str) -> str:
    """Send one message; the result is Twilio's id."""
    return str(_client().messages.create(to=to, from_=sender, body=body).sid)


def nothing() -> None:
    """A job that does nothing."""


def nothing_with(_argument: str) -> None:
    """The same, in the form of our jobs."""
