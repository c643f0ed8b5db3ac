"""The life of one try: claim before, send, settle after.

The steps lie in ``claims`` and ``settling``, and work on batches; this is what stands between them, and the way of a
single message through all three.
"""

from datetime import timedelta

from app import clock, faults
from app.channels.base import OutgoingMessage, SendResult
from app.channels.registry import providers
from app.extensions import settings
from app.messages import claims, settling
from app.messages.claims import Claim


def deliver(message_id: str) -> None:
    """Send one message if it is its time and nothing speaks against it."""
    for claim in claims.claim([message_id]):
        faults.point("claimed")
        result = post(claim)
        faults.point("posted")
        if result is None:
            settling.give_back([claim])
        else:
            settling.settle([(claim, result)])
        faults.point("settled")


def post(claim: Claim) -> SendResult | None:
    """Hand a claimed message to the provider of its channel.

    None where too little of the lease is left: this worker was held up, or the message waited for a thread, and
    another worker might take it over before our request would end. Nothing was posted then.
    """
    provider = providers().of(claim.channel)
    if claim.lease_until - clock.now() <= timedelta(seconds=provider.timeout_s):
        return None
    return provider.send(_outgoing(claim))


def _outgoing(claim: Claim) -> OutgoingMessage:
    config = settings()
    callback = None
    if claim.channel != "email" and config.status_callbacks_reach_us:
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
        sender_name=claim.sender_name,
        content_sid=claim.content_sid,
        content_variables=claim.content_variables,
    )
