"""How gunicorn serves the web process: ``gunicorn -c python:app.gunicorn_config app.wsgi:app``."""

from app.settings import load_or_exit

_settings = load_or_exit()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = f"{_host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "app.gunicorn_worker.Worker"
threads = 8
# Each process opens its own connections to the stores; sharing them across a fork corrupts both.
preload_app = False
# Gunicorn's remote control would be one more door; signals do all that we need.
control_socket_disable = True

timeout = 30
# Less than the supervisor's patience, so that a stop is clean all the way down.
graceful_timeout = 20
keepalive = 5

# What matters of a request is in the application's own lines, with its id and with numbers masked.
accesslog = None
errorlog = "-"
loglevel = "debug" if _settings.log_level == "debug" else "warning"
