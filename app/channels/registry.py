"""Which provider carries which channel."""

import threading
from collections.abc import Mapping
from typing import cast

from flask import current_app

from app.channels.base import Provider
from app.channels.phone import Channel
from app.channels.resend import ResendProvider
from app.channels.sandbox import SandboxProvider
from app.channels.sendgrid import SendGridProvider
from app.channels.smtp import SmtpProvider
from app.channels.twilio import TwilioProvider
from app.extensions import settings
from app.settings import Settings

CHANNELS: tuple[Channel, ...] = ("sms", "whatsapp", "email")
_EVERY = "bellhop.provider"
_KEY = "bellhop.providers"
_lock = threading.Lock()


class Providers:
    """The provider of each channel that is set up. Several channels may share one."""

    def __init__(self, by_channel: Mapping[str, Provider]) -> None:
        self._by_channel = dict(by_channel)
        self.all = tuple({id(one): one for one in by_channel.values()}.values())
        """Each provider once."""
        self.timeout_s = max((one.timeout_s for one in self.all), default=0.0)
        """No call to any of them takes longer than about this long."""

    def get(self, channel: str) -> Provider | None:
        """Who carries a channel; None where it is not set up."""
        return self._by_channel.get(channel)

    def of(self, channel: str) -> Provider:
        """Who carries a channel.

        Raises:
            LookupError: it is not set up.
        """
        return self._by_channel[channel]

    def items(self) -> list[tuple[str, Provider]]:
        """The channels that are set up, and who carries each."""
        return list(self._by_channel.items())

    def with_account(self, account: str) -> Provider | None:
        """The provider that sends through an account."""
        return next((one for one in self.all if one.account == account), None)

    def tells_status(self, name: str) -> bool:
        """Whether the provider of this name, if it is still set up, can be asked how a message is doing."""
        return any(one.name == name and one.hindsight.fetchable for one in self.all)

    def channels_of(self, accounts: frozenset[str]) -> frozenset[str]:
        """The channels that go through some accounts."""
        return frozenset(channel for channel, one in self._by_channel.items() if one.account in accounts)


def providers() -> Providers:
    """The providers of the current app: one set per process, made on first use so that no connection crosses a fork.

    One that is set as ``bellhop.provider`` carries every channel: for tests.
    """
    app = current_app
    every = app.extensions.get(_EVERY)
    with _lock:
        known: tuple[object, Providers] | None = app.extensions.get(_KEY)
        if known is None or known[0] is not every:
            shared = cast(Provider, every)
            made = _make(settings()) if every is None else {str(channel): shared for channel in CHANNELS}
            known = app.extensions[_KEY] = every, Providers(made)
        return known[1]


def available_channels() -> frozenset[str]:
    """The channels that this installation can send through."""
    return frozenset(channel for channel in CHANNELS if settings().provider_of(channel) is not None)


def _make(chosen: Settings) -> dict[str, Provider]:
    made: dict[str, Provider] = {}
    sandbox = SandboxProvider()
    for channel in CHANNELS:
        name = chosen.provider_of(channel)
        if name is None:
            continue
        if name == "sandbox":
            made[channel] = sandbox
        elif channel == "email":
            made[channel] = _email(name, chosen)
        elif channel == "whatsapp" and not chosen.whatsapp_account_sid:
            made[channel] = made["sms"]
        else:
            made[channel] = _twilio(channel, chosen)
    return made


def _twilio(channel: str, chosen: Settings) -> TwilioProvider:
    own = channel == "whatsapp"
    sid = chosen.whatsapp_account_sid if own else chosen.twilio_account_sid
    token = chosen.whatsapp_auth_token if own else chosen.twilio_auth_token
    if sid is None or token is None:
        raise RuntimeError("settings were not checked")
    return TwilioProvider(
        account_sid=sid,
        auth_token=token.get_secret_value(),
        base_url=chosen.whatsapp_api_base_url if own else chosen.twilio_api_base_url,
        timeout_s=chosen.twilio_timeout_s,
    )


def _email(name: str, chosen: Settings) -> Provider:
    timeout_s, reports = chosen.email_timeout_s, chosen.reports_reach_us(name)
    if name == "resend" and chosen.resend_api_key:
        key = chosen.resend_api_key.get_secret_value()
        return ResendProvider(api_key=key, base_url=chosen.resend_api_url, timeout_s=timeout_s, reports=reports)
    if name == "sendgrid" and chosen.sendgrid_api_key:
        key = chosen.sendgrid_api_key.get_secret_value()
        return SendGridProvider(api_key=key, base_url=chosen.sendgrid_api_url, timeout_s=timeout_s, reports=reports)
    if name == "smtp" and chosen.smtp_url:
        return SmtpProvider(chosen.smtp_url.get_secret_value(), timeout_s=timeout_s)
    raise RuntimeError("settings were not checked")
