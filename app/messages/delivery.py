"""The life of one try: claim before, send, settle after.

The steps lie in ``claims`` and ``settling``, and work on batches; this is what stands between them, and the way of a
single message through all three.
"""

from datetime import timedelta

from app import clock, faults
from app.channels.base import OutgoingMessage, SendResult
from app.channels.registry import Providers
from app.channels.registry import providers as current_providers
from app.extensions import settings
from app.messages import claims, settling
from app.messages.claims import Claim
from app.workspaces import service as workspaces


def deliver(message_id: str) -> None:
    """Send one message if it is its time and nothing speaks against it."""
    providers = current_providers()
    for claim in claims.claim([message_id], providers):
        faults.point("claimed")
        result = post(claim, providers)
        faults.point("posted")
        if result is None:
            settling.give_back([claim])
        else:
            settling.settle([(claim, result)], providers)
        faults.point("settled")


def post(claim: Claim, providers: Providers) -> SendResult | None:
    """Hand a claimed message to the provider.

    None where too little of the lease is left: this worker was held up, or the message waited for a thread, and
    another worker might take it over before our request would end. Nothing was posted then.
    """
    provider = providers[claim.channel]
    if claim.lease_until - clock.now() <= timedelta(seconds=provider.timeout_s):
        return None
    return provider.send(_outgoing(claim))


def _outgoing(claim: Claim) -> OutgoingMessage:
    config = settings()
    callback = None
    if config.status_callbacks_reach_us and claim.channel != "email":
        callback = f"{config.base_url}/webhooks/twilio/status?attempt={claim.attempt_id}"
    return OutgoingMessage(
        attempt_id=claim.attempt_id,
        to=claim.to_address,
        sender=claim.from_address,
        body=claim.body,
        media_urls=tuple(claim.media_urls),
        status_callback=callback,
        valid_for_s=max(int((claim.valid_until - clock.now()).total_seconds()), 1),
        message_id=claim.id,
        channel=claim.channel,
        subject=claim.subject,
        sender_name=workspaces.name_of(claim.workspace_id) if claim.channel == "email" else None,
        content_sid=claim.content_sid,
        content_variables=claim.content_variables,
    )
