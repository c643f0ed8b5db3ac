"""What the documents say is what the code does, wherever a program can tell."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from flask import Flask
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from sqlalchemy import text as sql

from app import errors, metrics
from app.api.body import validate
from app.api.endpoint import ENDPOINTS, Endpoint
from app.cli import DEFAULT_EMAIL
from app.database import reading
from app.factory import create_app
from app.messages import gauges, recurring_views, schemas
from app.messages.states import TRANSITIONS, Reason, Status, job_status
from app.settings import Settings, load
from tests.world import World

ROOT = Path(__file__).resolve().parents[2]
API_PAGES = ("api", "appointments", "reminders")
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(path: str) -> str:
    """A file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each table row in a text, without the heads."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def first_words(path: str, heading: str) -> list[str]:
    """The words in the first column of a section's tables."""
    return [row[0].strip("`| ") for row in rows(section(read(path), heading))]


def without_code(text: str) -> str:
    """A text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The names under which the headings of a document can be linked."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def api() -> str:
    """The pages that describe the routes."""
    return "\n".join(read(f"docs/{page}.md") for page in API_PAGES)


def app(tmp_path: Path) -> Flask:
    """An app whose routes can be looked at; it reaches no store."""
    return create_app(load(None, var_dir=tmp_path))


class TestReadme:
    def test_it_is_short(self) -> None:
        assert len(read("README.md").split()) <= 700

    def test_it_names_the_two_commands(self) -> None:
        assert "./run " in read("README.md")
        assert "./run test" in read("README.md")


class TestLinks:
    @pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
    def test_each_leads_somewhere(self, path: Path) -> None:
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8"))):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            other = (path.parent / name).resolve() if name else path
            assert other.is_file(), target
            assert not anchor or anchor in anchors(other), target

    def test_every_document_is_reached_from_the_readme(self) -> None:
        linked = set(re.findall(r"\]\(((?:docs/)?\w[\w-]*\.md)", read("README.md")))
        assert {str(path.relative_to(ROOT)) for path in DOCS[1:]} <= linked


class TestConfiguration:
    def test_each_variable_is_explained_in_a_row_of_its_own(self) -> None:
        explained = [row[0].strip("`| ") for row in rows(read("docs/configuration.md"))]
        assert sorted(explained) == sorted(name.upper() for name in Settings.model_fields)

    def test_the_documented_defaults_are_those_of_the_code(self) -> None:
        for row in rows(read("docs/configuration.md")):
            name, documented = row[0].strip("`| "), row[1]
            default = Settings.model_fields[name.lower()].default
            if documented.startswith("`"):
                known = {True: "1"}.get(default, f"{default:g}" if isinstance(default, float) else str(default))
                assert documented == f"`{DEFAULT_EMAIL if name == 'ADMIN_EMAIL' else known}`", name
            elif len(documented) == 1:  # a dash
                assert default is None, name

    def test_each_variable_is_in_the_example(self) -> None:
        for name in Settings.model_fields:
            assert f"\n#{name.upper()}=" in read(".env.example"), name

    @pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
    def test_no_document_names_a_variable_that_is_not_read(self, path: Path) -> None:
        prefixes = "TWILIO|REDIS|DATABASE|SMS|PHONE|RATE|WEB|HORIZON|AUTH|API|ADMIN|SECRET|PUBLIC|TRUSTED|METRICS|LOG"
        prefixes += "|WHATSAPP|EMAIL|RESEND|SENDGRID|SMTP"
        # The requirements name variables of other products, which they replace.
        text = "" if path.name == "requirements.md" else path.read_text(encoding="utf-8")
        for name in re.findall(rf"\b(?:{prefixes})_[A-Z_]+\b", text):
            known = name.removesuffix("_FILE").lower()
            assert known in Settings.model_fields, name


class TestMetrics:
    def test_each_is_in_the_runbook(self) -> None:
        described = first_words("docs/operations.md", "The metrics")
        for metric in metrics.METRICS:
            assert metric.name in described, metric.name

    def test_each_in_the_runbook_exists(self) -> None:
        shown = set(re.findall(r'"(bellhop_\w+)"', Path(gauges.__file__).read_text(encoding="utf-8")))
        known = {metric.name for metric in metrics.METRICS} | shown
        assert set(first_words("docs/operations.md", "The metrics")) == known

    def test_their_labels_are_told(self) -> None:
        table = rows(section(read("docs/operations.md"), "The metrics"))
        told = {row[0].strip("`| "): set(re.findall(r"`(\w+)`", row[2])) for row in table}
        for metric in metrics.METRICS:
            assert told[metric.name] == set(getattr(metric, "labels", ())), metric.name


class TestLifeOfAMessage:
    def test_it_has_exactly_the_arrows_of_the_code(self) -> None:
        written = [tuple(cell.strip("`| ") for cell in row) for row in rows(section(self.text, "The arrows"))]
        assert written == [
            (source.value, target.value, why)
            for source, arrows in TRANSITIONS.items()
            for target, why in arrows.items()
        ]

    def test_it_explains_each_state(self) -> None:
        assert first_words("docs/life-of-a-message.md", "The states") == [status.value for status in Status]

    @property
    def text(self) -> str:
        return read("docs/life-of-a-message.md")


class TestWords:
    def test_of_jobs(self) -> None:
        assert sorted(first_words("docs/api.md", "Job status")) == sorted(get_args(schemas.JobStatus))

    def test_of_messages(self) -> None:
        assert sorted(first_words("docs/api.md", "Message status")) == sorted(get_args(schemas.MessageStatus))

    def test_of_reasons(self) -> None:
        assert sorted(first_words("docs/api.md", "Reasons")) == sorted(reason.value for reason in Reason)

    def test_of_recurring_messages(self) -> None:
        known = get_args(recurring_views.RecurringState.model_fields["status"].annotation)
        assert sorted(first_words("docs/api.md", "Recurring status")) == sorted(known)

    def test_each_state_has_its_outside_word(self) -> None:
        now = datetime(2026, 5, 11, 12, tzinfo=UTC)
        due = now + timedelta(hours=1)
        for row in rows(section(api(), "States")):
            state, word = row[0].strip("`| "), re.findall(r"`(\w+)`", row[1])[0]
            assert job_status(Status(state), due, now) == word, state
        assert first_words("docs/api.md", "States") == [status.value for status in Status]


class TestErrors:
    def test_each_code_is_documented_and_none_is_invented(self) -> None:
        assert sorted(first_words("docs/api.md", "Errors")) == sorted(codes())

    def test_each_code_has_the_status_that_is_documented(self) -> None:
        statuses = {kind.code: kind.status for kind in subclasses(errors.ApiError)}
        for row in rows(section(api(), "Errors")):
            code, status = row[0].strip("`| "), int(row[1])
            if code in statuses:
                assert statuses[code] == status, code


def subclasses(kind: type[errors.ApiError]) -> list[type[errors.ApiError]]:
    """A class and all below it."""
    return [kind, *(found for child in kind.__subclasses__() for found in subclasses(child))]


def codes() -> set[str]:
    """Every error code that the code can answer with."""
    found = {kind.code for kind in subclasses(errors.ApiError)} - {errors.Conflict.code}
    for path in (ROOT / "app").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found |= {node.value.value} if isinstance(node.value.value, str) else set()
            if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "_CODES" for name in node.targets):
                found |= set(ast.literal_eval(node.value).values())
    # Of a recurrence that is over: code=f"already_{row.status}".
    return (found | {"already_cancelled", "already_completed", "bad_request"}) - {""}


class TestRoutes:
    def test_each_route_of_the_api_is_documented(self) -> None:
        text = api()
        for route in ENDPOINTS:
            plain = re.sub(r"<[^>]*>", "{}", route.path).split("/{}")[0]
            assert plain in text, route.path

    def test_each_documented_route_exists(self, tmp_path: Path) -> None:
        known = {
            (method, re.sub(r"<[^>]*>", "*", rule.rule))
            for rule in app(tmp_path).url_map.iter_rules()
            for method in rule.methods or ()
        }
        named = re.findall(r"`(GET|POST) (/[a-z/-]+)(?:\{id\}(/\w+)?)?`", section(read("docs/api.md"), "In short"))
        assert named
        for method, path, _action in named:
            wanted = path.rstrip("/") if path.endswith("/") else path
            assert any(m == method and rule.startswith(wanted) for m, rule in known), path

    def test_each_field_of_a_request_is_named(self) -> None:
        text = api()
        for route in ENDPOINTS:
            for model in (route.body, route.query, route.optional_body):
                for name, field in (model.model_fields if model else {}).items():
                    assert f"`{outside_name(name, field)}`" in text, (route.path, name)


class TestOldTable:
    def test_the_runbook_s_query_reads_the_messages(self, world: World) -> None:
        job_id = world.salon.delay(5, body="Your table is ready", metadata={"table": 7})
        found = re.search(r"```sql\n(.*?)```", section(read("docs/operations.md"), "Reading the old table"), re.DOTALL)
        assert found
        with reading() as session:
            (row,) = session.execute(sql(found[1].strip().rstrip(";"))).mappings()
        message = world.message(job_id)
        assert row["id"] == job_id
        assert (row["to_phone"], row["body"], row["status"]) == (message.to_address, message.body, "scheduled")
        assert row["workspace_id"] == "ws_salon"
        due_at = row["scheduled_time"]  # SQLite has no type for it, and shows the text that it keeps
        assert due_at == (message.due_at if isinstance(due_at, datetime) else f"{message.due_at:%Y-%m-%d %H:%M:%S.%f}")
        assert row["metadata"] in ({"table": 7}, '{"table": 7}')


class TestExamples:
    @pytest.mark.parametrize("route", ENDPOINTS, ids=lambda route: route.name)
    def test_each_request_and_answer_has_the_form_of_its_route(self, route: Endpoint) -> None:
        text = section(api(), heading(route))
        requests = re.findall(r"-d '(\{.*?\})'", text, re.DOTALL)
        answers = re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        assert requests or route.body is None
        for request in requests:
            assert route.body is not None
            given = json.loads(request.replace("2027-", f"{datetime.now(UTC).year + 1}-"))
            validate(route.body, given)
        for answer in answers:
            envelope = json.loads(answer)
            assert route.bare or envelope["success"] is True
            route.answer.model_validate(envelope if route.bare else envelope["data"])


def outside_name(name: str, field: FieldInfo) -> str:
    """The first of the names under which a field is taken."""
    choices = field.validation_alias
    return str(choices.choices[0]) if isinstance(choices, AliasChoices) else str(choices or field.alias or name)


def heading(route: Endpoint) -> str:
    """The heading under which a route is documented."""
    headings = re.findall(r"^#+ (.*)$", api(), re.MULTILINE)
    exact = f"{route.method} {re.sub('<[^>]*>', '{}', route.path)}"
    wanted = exact.split("{")[0]
    alike = [text for text in headings if f"{text} ".startswith(wanted) and ("{" in text) == ("<" in route.path)]
    return next((text for text in alike if exact in addresses_in(text)), alike[0])


def addresses_in(text: str) -> list[str]:
    """The addresses that a heading names: ``POST /a/{id}/b, …/c`` are two."""
    first, *others = re.sub(r"\{[^}]*\}", "{}", text).split(", …")
    return [first, *(first.rpartition("/")[0] + other for other in others)]
