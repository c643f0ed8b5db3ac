"""What Twilio posts: delivery reports and inbound messages. Verify first, then store, then answer.

A report that we cannot use (an unknown message, a new word) is stored and answered with 200: asking Twilio to send it
again would not help.
"""

from flask import Blueprint, Response, request

from app.errors import Malformed
from app.messages.status import Report, apply_report
from app.webhooks import inbound
from app.webhooks.signature import require_twilio_signature

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks/twilio")

MAX_FORM = 64 * 1024


@blueprint.before_request
def _verify() -> None:
    request.max_content_length = MAX_FORM
    require_twilio_signature()


@blueprint.post("/status")
def status() -> Response:
    """A delivery report; ``attempt`` in the query is our own id of the try."""
    form = request.form
    sid, word = (
        form.get("MessageSid") or form.get("SmsSid"),
        form.get("MessageStatus") or form.get("SmsStatus"),
    )
    if not sid or not word or len(sid) > 64 or len(word) > 32:
        raise Malformed("MessageSid and MessageStatus are required.")
    code = form.get("ErrorCode", "")
    apply_report(
        Report(
            provider="twilio",
            provider_message_id=sid,
            status=word.lower(),
            attempt_id=request.args.get("attempt", "")[:32] or None,
            error_code=int(code) if code.isascii() and code.isdigit() and len(code) < 9 else None,
            raw=_clean(form.to_dict()),
        )
    )
    return Response(status=204)


@blueprint.post("/inbound")
def receive() -> Response:
    """Somebody wrote to one of our numbers. STOP, START and HELP are answered by Twilio itself, so we say nothing."""
    form = request.form
    sid = form.get("MessageSid") or form.get("SmsMessageSid") or form.get("SmsSid")
    sender, recipient = form.get("From", ""), form.get("To", "")
    if not sid or len(sid) > 64 or not 0 < len(sender) <= 64 or not 0 < len(recipient) <= 64:
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


def _clean(form: dict[str, str]) -> dict[str, str]:
    """PostgreSQL stores no NUL."""
    return {key.replace("\0", ""): value.replace("\0", "") for key, value in form.items()}
