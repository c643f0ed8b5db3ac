"""What the email providers post: events about emails. Verify first, then store, then answer.

An event that says nothing to us is answered like the others: to have it sent again would not help.
"""

from flask import Blueprint, Response

from app.api.body import parse_json, read_bytes
from app.api.endpoint import plain_route
from app.errors import Malformed
from app.webhooks import email_reports
from app.webhooks.signature import require_sendgrid_signature, require_svix_signature

blueprint = Blueprint("email_webhooks", __name__, url_prefix="/webhooks")

MAX_EVENT = 256 * 1024
MAX_EVENTS = 2 * 1024 * 1024
"""SendGrid posts events together, up to 768 KB."""
TAG = "Email events"


@plain_route(
    blueprint,
    "POST",
    "/resend",
    summary="An event of an email sent through Resend",
    tag=TAG,
    answers={204: None},
    errors=(400, 403, 413, 503),
    header="svix-signature",
    json="object",
)
def resend() -> Response:
    """Posted by Resend and signed by Svix (``svix-id``, ``svix-timestamp``, ``svix-signature``)."""
    body = read_bytes(MAX_EVENT)
    event_id = require_svix_signature(body)
    event = parse_json(body)
    if not isinstance(event, dict):
        raise Malformed("The body is not an event.")
    report = email_reports.from_resend(event, event_id)
    if report is not None:
        email_reports.take(report)
    return Response(status=204)


@plain_route(
    blueprint,
    "POST",
    "/sendgrid",
    summary="Events of emails sent through SendGrid",
    tag=TAG,
    answers={204: None},
    errors=(400, 403, 413, 503),
    header="X-Twilio-Email-Event-Webhook-Signature",
    json="array",
)
def sendgrid() -> Response:
    """Posted and signed by SendGrid (the signature covers ``X-Twilio-Email-Event-Webhook-Timestamp`` and the body)."""
    body = read_bytes(MAX_EVENTS)
    require_sendgrid_signature(body)
    given = parse_json(body)
    if not isinstance(given, list):
        raise Malformed("The body is not a list of events.")
    for report in filter(None, map(email_reports.from_sendgrid, given)):
        email_reports.take(report)
    return Response(status=204)
