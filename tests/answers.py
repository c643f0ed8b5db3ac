"""What every answer looks like, whatever it is about."""

from typing import Any

from werkzeug.test import TestResponse


def data_of(response: TestResponse, status: int = 200) -> dict[str, Any]:
    """The data of a success."""
    assert response.status_code == status, response.text
    assert set(response.json) == {"success", "data"}
    assert response.json["success"] is True
    return dict(response.json["data"])


def error_of(response: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The error of a refusal, which comes in the envelope and never as a page."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    assert set(response.json) == {"success", "error"}
    assert response.json["success"] is False
    error = dict(response.json["error"])
    assert set(error) <= {"code", "message", "fields"}
    assert error["code"]
    assert error["message"]
    assert code is None or error["code"] == code
    return error


def fields_of(response: TestResponse) -> set[str]:
    """The names that a 422 says are wrong, each with a sentence."""
    fields = error_of(response, 422)["fields"]
    assert all(texts and all(texts) for texts in fields.values())
    return set(fields)
