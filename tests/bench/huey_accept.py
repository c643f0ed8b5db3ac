"""The same endpoint on Huey, the quickest of the Flask peers: no key, no SQL, the message lives in Redis alone."""

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, jsonify, request
from huey import RedisHuey
from pydantic import BaseModel, Field


class Wanted(BaseModel):
    """The body of a request."""

    to: str = Field(pattern=r"^\+[1-9][0-9]{1,14}$")
    body: str = Field(min_length=1, max_length=1600)
    workspaceId: str  # noqa: N815 - as it is in the request
    fromNumber: str = Field(pattern=r"^\+[1-9][0-9]{1,14}$")  # noqa: N815
    scheduledTime: datetime  # noqa: N815


app = Flask(__name__)
huey = RedisHuey("bench", url=os.environ["REDIS_URL"])


@huey.task(retries=3)
def send(to: str, sender: str, body: str) -> None:
    """What the job would call."""


@app.post("/schedule")
def schedule() -> Any:
    """Schedule the task; Huey wants naive UTC."""
    wanted = Wanted.model_validate(request.get_json())
    eta = wanted.scheduledTime.astimezone(UTC).replace(tzinfo=None)
    task = send.schedule((wanted.to, wanted.fromNumber, wanted.body), eta=eta)
    return jsonify({"success": True, "data": {"jobId": task.id, "status": "scheduled"}}), 202
