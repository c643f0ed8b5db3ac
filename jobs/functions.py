"""The jobs: load by id, call the application, let it decide."""

from app.channels import accounts
from app.channels.registry import providers
from app.messages import delivery
from app.messages import reconcile as reconciliation
from app.messages.status import Report, apply_report
from jobs.context import in_app


@in_app
def send(message_id: str) -> None:
    """Send a message if it is its time."""
    delivery.deliver(message_id)


@in_app
def reconcile(message_id: str) -> None:
    """Find out what became of a message whose try had no clear end."""
    reconciliation.reconcile(message_id)


@in_app
def refresh(message_id: str) -> None:
    """Pull the status of a message that was accepted."""
    reconciliation.refresh(message_id)


@in_app
def probe(account: str) -> None:
    """Ask whether a paused provider account works again."""
    if provider := providers().accounts.get(account):
        accounts.probe(provider)


@in_app
def sandbox_report(provider_message_id: str) -> None:
    """Hand the test carrier's report to the code that takes Twilio's callbacks."""
    sandbox = providers().named("sandbox")
    record = sandbox.fetch(provider_message_id) if sandbox else None
    if record is not None:
        apply_report(Report("sandbox", record.provider_message_id, record.status, raw={"source": "sandbox"}))
