"""What Twilio posts: delivery reports and inbound messages. Verify first, then store, then answer.

A report that we cannot use (an unknown message, a new word) is stored and answered with 200: asking Twilio to send it
again would not help.
"""

from flask import Blueprint, Response, request

from app.api.endpoint import plain_route
from app.errors import Malformed
from app.messages.status import Report, apply_report
from app.webhooks import inbound
from app.webhooks.signature import require_twilio_signature

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks/twilio")

MAX_FORM = 64 * 1024
TAG = "Twilio's callbacks"
SIGNATURE = "X-Twilio-Signature"


@blueprint.before_request
def _verify() -> None:
    request.max_content_length = MAX_FORM
    require_twilio_signature()


@plain_route(
    blueprint,
    "POST",
    "/status",
    summary="A delivery report",
    tag=TAG,
    answers={204: None},
    errors=(400, 403, 413, 503),
    header=SIGNATURE,
    query={"attempt": "Our own id of the try; part of the address that we give to Twilio."},
    form={"MessageSid": "Twilio's id of the message.", "MessageStatus": "`sent`, `delivered`, `undelivered` …"},
)
def status() -> Response:
    """Posted and signed by Twilio; nobody else's report is believed."""
    form = request.form
    sid, word = (
        form.get("MessageSid") or form.get("SmsSid"),
        form.get("MessageStatus") or form.get("SmsStatus"),
    )
    if not sid or not word or not _is_name(sid, 64) or not _is_name(word, 32):
        raise Malformed("MessageSid and MessageStatus are required.")
    code, attempt = form.get("ErrorCode", ""), request.args.get("attempt", "")
    apply_report(
        Report(
            provider="twilio",
            provider_message_id=sid,
            status=word.lower(),
            attempt_id=attempt if _is_name(attempt, 32) else None,
            error_code=int(code) if code.isascii() and code.isdigit() and len(code) < 9 else None,
            raw=_clean(form.to_dict()),
        )
    )
    return Response(status=204)


@plain_route(
    blueprint,
    "POST",
    "/inbound",
    summary="Somebody wrote to one of our numbers",
    tag=TAG,
    answers={200: "text/xml"},
    errors=(400, 403, 413, 503),
    header=SIGNATURE,
    form={"MessageSid": "Twilio's id of the message.", "From": "The person.", "To": "Our number.", "Body": "The text."},
)
def receive() -> Response:
    """STOP ends all messages to that number, START allows them again. Twilio itself answers both, so we say nothing."""
    form = request.form
    sid = form.get("MessageSid") or form.get("SmsMessageSid") or form.get("SmsSid")
    sender, recipient = form.get("From", ""), form.get("To", "")
    if not sid or not _is_name(sid, 64) or not _is_name(sender, 64) or not _is_name(recipient, 64):
        raise Malformed("MessageSid, From and To are required.")
    inbound.receive(
        inbound.Inbound(
            provider="twilio",
            provider_message_id=sid,
            sender=sender,
            recipient=recipient,
            body=form.get("Body", "").replace("\0", ""),
            opt_out_type=form.get("OptOutType"),
            messaging_service_sid=form.get("MessagingServiceSid"),
            raw=_clean(form.to_dict()),
        )
    )
    return Response("<?xml version='1.0' encoding='UTF-8'?><Response/>", content_type="text/xml")


def _is_name(text: str, length: int) -> bool:
    return 0 < len(text) <= length and text.isascii() and text.isprintable()


def _clean(form: dict[str, str]) -> dict[str, str]:
    """PostgreSQL stores no NUL."""
    return {key.replace("\0", ""): value.replace("\0", "") for key, value in form.items()}
