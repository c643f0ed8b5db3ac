"""Twilio's error codes: the table of what may be done next, and the sentences for the owner."""

import pytest

from app.channels.base import FailureKind
from app.channels.sandbox_numbers import GOOD_SENDER, failure_for
from app.channels.twilio_errors import RULES, classify, explain

P, O, T = FailureKind.PERMANENT, FailureKind.OPTED_OUT, FailureKind.TRANSIENT  # noqa: E741
C, R, A = FailureKind.CONFIGURATION, FailureKind.THROTTLED, FailureKind.AMBIGUOUS


@pytest.mark.parametrize(
    "http_status, code, kind, min_delay_s",
    [
        # The request left and the server failed: it may have been accepted.
        (500, None, A, 0),
        (500, 20500, A, 0),
        (502, None, A, 0),
        (503, 20503, A, 0),
        (504, None, A, 0),
        (599, 99999, A, 0),
        # A success that was not understood.
        (200, None, A, 0),
        (201, None, A, 0),
        (303, None, A, 0),
        (408, None, A, 0),
        # Throttled is never processed.
        (429, None, R, 0),
        (429, 20429, R, 0),
        (429, 21611, R, 60),
        (429, 63038, R, 3600),
        (429, 12345, R, 0),
        (400, 21611, T, 60),
        # Our account, or the way to it.
        (401, None, C, 0),
        (401, 20003, C, 0),
        (401, 70051, C, 0),
        (403, 20003, C, 0),
        (403, 20005, C, 0),
        (403, 20403, C, 0),
        (403, None, C, 0),
        (400, 10001, C, 0),
        (404, 20404, C, 0),
        (404, None, C, 0),
        (405, None, C, 0),
        (407, None, C, 0),
        (301, None, C, 0),
        (308, None, C, 0),
        # This recipient, this sender, this request.
        (400, 21610, O, 0),
        (403, 21610, O, 0),
        (400, 21211, P, 0),
        (400, 21614, P, 0),
        (400, 21408, P, 0),
        (400, 21606, P, 0),
        (400, 21617, P, 0),
        (400, 20001, P, 0),
        (400, None, P, 0),
        (400, 99999, P, 0),
        (403, 99999, P, 0),
        (404, 99999, P, 0),
        (405, 20004, P, 0),
        (422, None, P, 0),
    ],
)
def test_an_answer_is_classified_by_its_status_and_by_the_special_codes(
    http_status: int, code: int | None, kind: FailureKind, min_delay_s: float
) -> None:
    assert classify(http_status, code) == (kind, min_delay_s)


@pytest.mark.parametrize(
    "code, kind, min_delay_s",
    [
        (30001, T, 300),
        (30002, C, 0),
        (30003, T, 1800),
        (30008, T, 300),
        (30410, T, 300),
        (30500, T, 300),
        (30022, T, 60),
        (30023, T, 86400),
        (30047, T, 300),
        (30610, T, 3600),
        (63018, T, 60),
        (21610, O, 0),
        (30004, P, 0),
        (30005, P, 0),
        (30006, P, 0),
        (30007, P, 0),
        (30032, P, 0),
        (30034, P, 0),
        (30450, P, 0),
        (63016, P, 0),
        (63024, P, 0),
        (30999, P, 0),
        (None, P, 0),
    ],
)
def test_a_code_in_a_status_callback_needs_no_http_status(
    code: int | None, kind: FailureKind, min_delay_s: float
) -> None:
    assert classify(None, code) == (kind, min_delay_s)


def test_no_5xx_is_ever_taken_for_a_clear_refusal() -> None:
    for status in range(500, 600):
        assert all(classify(status, code)[0] is FailureKind.AMBIGUOUS for code in [None, *RULES])


def test_every_known_code_is_explained_in_one_plain_sentence() -> None:
    for code, rule in RULES.items():
        assert explain(code) == rule.words
        assert rule.words.endswith(".")
        assert str(code) not in rule.words


def test_an_unknown_code_is_explained_by_where_to_read_about_it() -> None:
    assert explain(12345).endswith("https://www.twilio.com/docs/api/errors/12345")


@pytest.mark.parametrize("prefix", ["", "whatsapp:"])
@pytest.mark.parametrize(
    "to, sender, code, kind",
    [
        ("+15005550001", GOOD_SENDER, 21211, P),
        ("+15005550002", GOOD_SENDER, 21612, P),
        ("+15005550003", GOOD_SENDER, 21408, P),
        ("+15005550004", GOOD_SENDER, 21610, O),
        ("+15005550009", GOOD_SENDER, 21614, P),
        ("+61400000549", "+15005550001", 21212, P),
        ("+61400000549", "+15005550007", 21606, P),
        ("+61400000549", "+15005550008", 21611, T),
    ],
)
def test_the_magic_numbers_of_the_sandbox_fail_as_twilio_documents_them(
    prefix: str, to: str, sender: str, code: int, kind: FailureKind
) -> None:
    failure = failure_for(prefix + to, prefix + sender)
    assert failure is not None
    assert (failure.kind, failure.code, failure.http_status) == (kind, code, 400)
    assert failure.message == explain(code)
    assert failure.min_delay_s == classify(400, code)[1]


def test_every_other_number_is_fine_in_the_sandbox() -> None:
    assert failure_for("+61400000549", GOOD_SENDER) is None
    assert failure_for(GOOD_SENDER, "+61400000000") is None
    assert failure_for("+61400000549", "MG" + "0" * 32) is None
