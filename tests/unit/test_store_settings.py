"""DATABASE_URL and REDIS_URL: what cannot be one stops the start with one line that names it and tells no secret."""

import pytest

from app.settings import load, load_or_exit

WRONG = {
    "DATABASE_URL": [
        "postgresql://127.0.0.1:abc/x",
        "postgresql://owner:hush@127.0.0.1:99999/x",
        "postgresql://owner:hush@127.0.0.1:0/x",
        "postgres://owner:hush@host:port/x",
        "sqlite://bellhop.db",
        "mysql://owner:hush@host/x",
    ],
    "REDIS_URL": [
        "redis://127.0.0.1:notaport/0",
        "redis://:hush@127.0.0.1:99999/0",
        "redis://:hush@host/notanumber",
        "redis://:hush@host/-1",
        "redis://:hush@host/0/1",
        "redis://:hush@host?db=many",
        "redis://:hush@host/0?hush=1",
        "redis://:hush@[host/0",
        "rediss://:hush@host/0?ssl_cert_reqs=hush",
        "unix:///run/redis.sock?db=many",
        "http://:hush@host/0",
    ],
}
RIGHT = {
    "DATABASE_URL": [
        "postgresql://owner:p%40ss@host:5432/bellhop?sslmode=require",
        "postgresql+psycopg://host/bellhop",
        "postgresql:///bellhop",
        "postgresql:///bellhop?host=/run/postgresql",
        "sqlite:///var/bellhop.db",
        "sqlite:////var/bellhop.db",
    ],
    "REDIS_URL": [
        "redis://host",
        "redis://host/",
        "redis://user:p%40ss@host:6379/15",
        "redis://[::1]:6379?db=3",
        "rediss://:secret@host:6380/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
    ],
}


def pairs(urls: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, url) for name, all_of_it in urls.items() for url in all_of_it]


@pytest.mark.parametrize(("name", "url"), pairs(WRONG))
def test_what_is_no_url_of_a_store_ends_in_one_line_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(SystemExit, match="2"):
        load_or_exit()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: must ")
    assert "hush" not in line


@pytest.mark.parametrize(("name", "url"), pairs(RIGHT))
def test_what_is_one_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setenv(name, url)
    assert getattr(load(None), name.lower()) == url
