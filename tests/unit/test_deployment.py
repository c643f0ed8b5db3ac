"""What Procfile, Dockerfile and docker-compose.yml say can be run as written, and they agree."""

import importlib.util
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context
from flask.cli import ScriptInfo
from gunicorn.config import Config

from app.cli import init_cli
from app.embedded import service_modules
from app.factory import create_app
from app.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = {"release", "web", "worker", "scheduler"}


def read(path: str) -> str:
    """A file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def procfile() -> dict[str, str]:
    """Each process's command."""
    lines = read("Procfile").splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def compose() -> dict[str, Any]:
    """Each service, with the shared parts merged in."""
    services: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))["services"]
    return services


def dockerfile() -> Iterator[tuple[str, str]]:
    """Each instruction and its arguments."""
    text = read("Dockerfile").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            instruction, _, arguments = line.partition(" ")
            yield instruction, arguments


def variables() -> set[str]:
    """Every environment variable that Bellhop reads."""
    return {name.upper() for name in Settings.model_fields}


def referenced_modules(command: str) -> list[str]:
    """The Python modules that a command line names, whichever way it names them."""
    program, *rest = shlex.split(command)
    if program == "sh":
        return [module for part in rest[1].split("&&") for module in referenced_modules(part)]
    if program == "env":
        return referenced_modules(shlex.join(word for word in rest if "=" not in word))
    if program == "python":
        assert rest[0] == "-m"
        return [rest[1]]
    scripts = {script.name: script.value for script in entry_points(group="console_scripts")}
    named = [scripts[program], *(word for word in rest if "." in word)]
    return [name.removeprefix("python:").partition(":")[0] for name in named]


class TestCommands:
    def test_the_procfile_names_every_process(self) -> None:
        assert set(procfile()) == PROCESSES

    @pytest.mark.parametrize("name", sorted(PROCESSES))
    def test_each_names_modules_that_exist(self, name: str) -> None:
        modules = referenced_modules(procfile()[name])
        assert modules
        for module in modules:
            assert importlib.util.find_spec(module), module

    def test_the_release_uses_commands_that_flask_knows(self, tmp_path: Path) -> None:
        app = create_app(load(None, var_dir=tmp_path))
        init_cli(app)
        known = {*app.cli.list_commands(Context(app.cli, obj=ScriptInfo(create_app=lambda: app)))}
        release = shlex.split(procfile()["release"])[-1]
        assert set(re.findall(r"app\.wsgi (\w+)", release)) == {"db", "bootstrap"} <= known

    def test_compose_runs_the_same_commands(self) -> None:
        commands = {name: service["command"] for name, service in compose().items() if name in PROCESSES}
        assert commands == procfile()

    def test_the_image_runs_web_unless_told_otherwise(self) -> None:
        command = json.loads(dict(dockerfile())["CMD"])
        assert shlex.join(command) == procfile()["web"]

    def test_the_supervisor_runs_the_same_commands(self) -> None:
        modules = service_modules(workers=2)
        assert list(modules) == ["web", "worker 1", "worker 2", "scheduler"]
        assert procfile()["web"] == f"env HOST=0.0.0.0 {shlex.join(modules['web'])}"
        assert procfile()["worker"] == f"python -m {shlex.join(modules['worker 2'])}"
        assert procfile()["scheduler"] == f"python -m {shlex.join(modules['scheduler'])}"


class TestCompose:
    def test_redis_keeps_its_data_and_never_evicts(self) -> None:
        redis = compose()["redis"]
        assert "--appendonly yes" in redis["command"]
        assert "--maxmemory-policy noeviction" in redis["command"]
        assert redis["volumes"]

    @pytest.mark.parametrize("store", ["redis", "postgres"])
    def test_stores_are_checked_and_waited_for(self, store: str) -> None:
        assert compose()[store]["healthcheck"]["test"][0] == "CMD"
        for name in PROCESSES:
            assert compose()[name]["depends_on"][store]["condition"] == "service_healthy"

    @pytest.mark.parametrize("name", sorted(PROCESSES - {"release"}))
    def test_nothing_starts_before_the_migrations_are_done(self, name: str) -> None:
        release = compose()[name]["depends_on"]["release"]
        assert release["condition"] == "service_completed_successfully"

    @pytest.mark.parametrize("name", sorted(PROCESSES))
    def test_a_secret_key_must_be_given(self, name: str) -> None:
        assert compose()[name]["environment"]["SECRET_KEY"].startswith("${SECRET_KEY:?")

    @pytest.mark.parametrize("name", sorted(PROCESSES))
    def test_only_known_variables_are_set(self, name: str) -> None:
        assert set(compose()[name]["environment"]) <= variables()

    def test_web_is_checked_by_the_image(self) -> None:
        assert "healthcheck" not in compose()["web"]


class TestImage:
    def test_health_is_asked_of_the_web_process_with_python_alone(self) -> None:
        check = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD")[2])
        assert check[:2] == ["python", "-c"]
        assert "/healthz" in check[2]
        compile(check[2], "HEALTHCHECK", "exec")

    def test_it_does_not_run_as_root(self) -> None:
        assert dict(dockerfile())["USER"] not in ("root", "0")

    def test_all_that_is_copied_is_let_in(self) -> None:
        copied = {
            path for instruction, arguments in dockerfile() if instruction == "COPY" for path in arguments.split()[:-1]
        }
        assert copied == {"pyproject.toml", "README.md", "app", "jobs", "admin"}
        let_in = [line for line in read(".dockerignore").splitlines() if line.startswith("!")]
        assert {line.removeprefix("!") for line in let_in} == copied


class TestGunicorn:
    def configuration(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **environment: str) -> dict[str, Any]:
        monkeypatch.chdir(folder)  # where no .env lies
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_module("app.gunicorn_config")

    def test_it_listens_where_the_settings_say(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        configuration = self.configuration(monkeypatch, tmp_path, HOST="::1", PORT="4000", WEB_CONCURRENCY="3")
        assert configuration["bind"] == "[::1]:4000"
        assert configuration["workers"] == 3

    def test_every_name_is_one_that_gunicorn_knows(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        configuration = self.configuration(monkeypatch, tmp_path)
        imported = {"load_or_exit"}
        names = {name for name in configuration if name.islower() and not name.startswith("_")} - imported
        assert names <= set(Config().settings)
        assert names >= {"bind", "workers", "threads", "control_socket_disable", "graceful_timeout"}

    def test_wrong_settings_end_in_one_line_each(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="2"):
            self.configuration(monkeypatch, tmp_path, PORT="many", ADMIN_EMAIL="nobody", TWILIO_FROM_NUMBER="123")
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["PORT", "ADMIN_EMAIL", "TWILIO_FROM_NUMBER"]


class TestVariables:
    def test_the_example_names_every_one_and_sets_none(self) -> None:
        lines = read(".env.example").splitlines()
        assert all(line.startswith("#") for line in lines if line)
        assert {line[1:].partition("=")[0] for line in lines if re.match(r"#[A-Z_]+=", line)} == variables()

    def test_the_example_says_what_each_is_for(self) -> None:
        lines = read(".env.example").splitlines()
        for before, line in pairwise(lines):
            if re.match(r"#[A-Z_]+=", line):
                assert before.startswith("# "), line

    def test_the_documentation_explains_every_one(self) -> None:
        explained = set(re.findall("`([A-Z_]+)`", read("docs/configuration.md")))
        assert variables() - explained == set()
