"""Which provider carries which channel."""

import json
import threading
from collections.abc import Mapping
from typing import cast

from flask import current_app

from app.channels.base import Provider
from app.channels.phone import Channel
from app.channels.sandbox import SandboxProvider
from app.channels.twilio import TwilioProvider
from app.extensions import settings
from app.settings import Settings

CHANNELS: tuple[Channel, ...] = ("sms", "whatsapp", "email")
ONE_FOR_ALL = "bellhop.provider"
"""In ``app.extensions``: a provider that takes the place of all others; for tests."""
_KEY = "bellhop.providers"
_lock = threading.Lock()


class Providers:
    """The providers of an installation, by channel. A channel that is missing is not set up."""

    def __init__(self, by_channel: Mapping[str, Provider]) -> None:
        self._by_channel = dict(by_channel)
        routes = [
            {"channel": channel, "account": one.account, "provider": one.name} for channel, one in by_channel.items()
        ]
        self.routes = json.dumps(routes)
        """Channel, account and provider as rows, for the statement that claims."""
        self.timeout_s = max(one.timeout_s for one in by_channel.values())
        """That of the slowest, in seconds."""

    def __contains__(self, channel: str) -> bool:
        return channel in self._by_channel

    def __getitem__(self, channel: str) -> Provider:
        return self._by_channel[channel]

    def get(self, channel: str) -> Provider | None:
        """The provider of a channel, None where it is not set up."""
        return self._by_channel.get(channel)

    def named(self, name: str) -> Provider | None:
        """A provider by its name; None where it is not in use any more."""
        return next((one for one in self._by_channel.values() if one.name == name), None)

    @property
    def accounts(self) -> dict[str, Provider]:
        """One provider for each account."""
        return {one.account: one for one in self._by_channel.values()}

    @property
    def channels(self) -> frozenset[str]:
        """The channels that are set up."""
        return frozenset(self._by_channel)

    def channels_of(self, accounts: frozenset[str]) -> frozenset[str]:
        """The channels that go through certain accounts."""
        return frozenset(channel for channel, one in self._by_channel.items() if one.account in accounts)


def providers() -> Providers:
    """The providers of the current app: one set per process, made on first use so that no connection crosses a fork."""
    app = current_app
    with _lock:
        for_all: Provider | None = app.extensions.get(ONE_FOR_ALL)
        kept = app.extensions.get(_KEY)
        if kept is None or kept[0] is not for_all:
            made = Providers(_make(settings()) if for_all is None else dict.fromkeys(CHANNELS, for_all))
            app.extensions[_KEY] = kept = (for_all, made)
        return cast(Providers, kept[1])


def _make(chosen: Settings) -> dict[str, Provider]:
    if chosen.sms_provider == "sandbox":
        return dict.fromkeys(CHANNELS, SandboxProvider())
    if chosen.twilio_account_sid is None or chosen.twilio_auth_token is None:
        raise RuntimeError("settings were not checked")
    twilio = TwilioProvider(
        account_sid=chosen.twilio_account_sid,
        auth_token=chosen.twilio_auth_token.get_secret_value(),
        base_url=chosen.twilio_api_base_url,
        timeout_s=chosen.twilio_timeout_s,
    )
    return {"sms": twilio, "whatsapp": twilio}
