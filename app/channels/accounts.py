"""Whether our account with the provider works.

Twilio answers 401 with code 20003 when the password is wrong and 20005 when the account is suspended
(twilio.com/docs/api/errors). Trying each message against that would burn them all; instead the account is paused
once, every message waits in its row, and a probe each minute resumes it.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import clock, metrics
from app.channels.base import Failure, Provider
from app.channels.models import ProviderAccount
from app.database import insert_ignore, reading, writing
from app.logs import get_logger

PROBE_INTERVAL = timedelta(seconds=60)

log = get_logger(__name__)


def pause(session: Session, account: str, failure: Failure, now: datetime) -> None:
    """Stop sending through an account. Repeated calls keep the first time and reason."""
    insert_ignore(session, ProviderAccount, [{"id": account}], returning=ProviderAccount.id)
    paused = session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account, ProviderAccount.paused_at.is_(None))
        .values(paused_at=now, reason=failure.message, error_code=failure.code, probe_at=now + PROBE_INTERVAL)
        .returning(ProviderAccount.id)
    ).first()
    if paused:
        metrics.errors.inc("provider_account")
        log.error("provider account paused", account=account, code=failure.code, reason=failure.message)


def paused_account(session: Session, account: str) -> ProviderAccount | None:
    """The account's row while it is paused."""
    return session.scalar(
        select(ProviderAccount).where(ProviderAccount.id == account, ProviderAccount.paused_at.is_not(None))
    )


def paused_accounts(session: Session) -> frozenset[str]:
    """All accounts that are paused."""
    return frozenset(session.scalars(select(ProviderAccount.id).where(ProviderAccount.paused_at.is_not(None))))


def probe_is_due(account: str, now: datetime) -> bool:
    """Whether a paused account should be tried again."""
    with reading() as session:
        row = paused_account(session, account)
        return row is not None and row.probe_at is not None and row.probe_at <= now


def probe(provider: Provider) -> bool:
    """Ask the provider whether it takes our credentials again; resume the account if so. True when it works."""
    now = clock.now()
    with writing() as session:
        claimed = session.execute(
            update(ProviderAccount)
            .where(ProviderAccount.id == provider.account, ProviderAccount.probe_at <= now)
            .where(ProviderAccount.paused_at.is_not(None))
            .values(probe_at=now + PROBE_INTERVAL)
            .returning(ProviderAccount.id)
        ).first()
    if not claimed:
        return False
    failure = provider.probe()
    if failure is not None:
        log.warning("provider account still refused", account=provider.account, reason=failure.message)
        return False
    with writing() as session:
        session.execute(
            update(ProviderAccount)
            .where(ProviderAccount.id == provider.account)
            .values(paused_at=None, reason=None, error_code=None, probe_at=None)
        )
    log.info("provider account resumed", account=provider.account)
    return True
