"""Which provider sends."""

import threading
from typing import cast

from flask import current_app

from app.channels.base import Provider
from app.channels.sandbox import SandboxProvider
from app.channels.twilio import TwilioProvider
from app.extensions import settings

_lock = threading.Lock()


def provider() -> Provider:
    """The provider of the current app: one per process, made on first use so that no connection crosses a fork."""
    app = current_app
    with _lock:
        if "bellhop.provider" not in app.extensions:
            app.extensions["bellhop.provider"] = _make()
        return cast(Provider, app.extensions["bellhop.provider"])


def _make() -> Provider:
    chosen = settings()
    if chosen.sms_provider == "sandbox":
        return SandboxProvider()
    if chosen.twilio_account_sid is None or chosen.twilio_auth_token is None:
        raise RuntimeError("settings were not checked")
    return TwilioProvider(
        account_sid=chosen.twilio_account_sid,
        auth_token=chosen.twilio_auth_token.get_secret_value(),
        base_url=chosen.twilio_api_base_url,
        timeout_s=chosen.twilio_timeout_s,
    )


def available_channels() -> frozenset[str]:
    """The channels that this installation can send through."""
    chosen = settings()
    return frozenset(
        channel for channel in ("sms", "whatsapp", "email") if channel != "email" or chosen.sms_provider == "sandbox"
    )
