"""What gunicorn and the flask command load."""

import gc

from admin import init_admin
from app import logs, metrics, queue
from app.cli import init_cli
from app.extensions import make_redis
from app.factory import create_app
from app.settings import load_or_exit

_settings = load_or_exit()
logs.configure(_settings)
app = create_app(_settings)
init_admin(app, _settings)
init_cli(app)
queue.add_in_background(app)
metrics.start_flusher(make_redis(_settings.redis_address))
# What has been made by now stays for good. A bulk of 1,000 makes so many objects that the collector would look through
# all of it several times for each, which takes as long as everything else.
gc.collect()
gc.freeze()
