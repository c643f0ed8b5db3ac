"""The endpoint as one would write it first: Flask, pydantic, the ORM, and rq-scheduler's ``enqueue_at``."""

import os
from datetime import datetime
from typing import Any
from uuid import uuid4

from flask import Flask, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from pydantic import BaseModel, Field
from redis import Redis
from rq_scheduler import Scheduler
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of the one table."""


class StockMessage(Base):
    """A scheduled message."""

    __tablename__ = "stock_messages"

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(index=True)
    to: Mapped[str]
    from_number: Mapped[str]
    body: Mapped[str]
    status: Mapped[str] = mapped_column(default="scheduled", index=True)
    scheduled_time: Mapped[datetime] = mapped_column(index=True)
    job_id: Mapped[str]


class Wanted(BaseModel):
    """The body of a request."""

    to: str = Field(pattern=r"^\+[1-9][0-9]{1,14}$")
    body: str = Field(min_length=1, max_length=1600)
    workspaceId: str  # noqa: N815 - as it is in the request
    fromNumber: str = Field(pattern=r"^\+[1-9][0-9]{1,14}$")  # noqa: N815
    scheduledTime: datetime  # noqa: N815


db = SQLAlchemy(model_class=Base)
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db.init_app(app)
scheduler = Scheduler("stock", connection=Redis.from_url(os.environ["REDIS_URL"]))


def send(message_id: str) -> None:
    """What the job would call."""


@app.post("/schedule")
def schedule() -> Any:
    """Store the row, commit, schedule the job."""
    wanted = Wanted.model_validate(request.get_json())
    message = StockMessage(
        id=uuid4().hex,
        workspace_id=wanted.workspaceId,
        to=wanted.to,
        from_number=wanted.fromNumber,
        body=wanted.body,
        scheduled_time=wanted.scheduledTime,
        job_id=uuid4().hex,
    )
    db.session.add(message)
    db.session.commit()
    scheduler.enqueue_at(wanted.scheduledTime.replace(tzinfo=None), send, message.id, job_id=message.job_id)
    return jsonify({"success": True, "data": {"jobId": message.job_id, "status": "scheduled"}}), 202


if __name__ == "__main__":
    with app.app_context():
        db.create_all()
