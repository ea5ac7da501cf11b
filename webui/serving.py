"""gunicorn's settings: `gunicorn -c python:webui.serving --bind ADDRESS "webui:create_app()"`.

One process with a few threads: keys in memory are shared, connections to PostgreSQL are few.
"""

import sys
from typing import Any

from common.config import load
from common.errors import ConfigError
from webui.settings import Settings

proc_name = "callstash-web"
worker_class = "gthread"
workers = 1
threads = 12
timeout = 60
graceful_timeout = 5
keepalive = 30
limit_request_line = 4094
limit_request_field_size = 8190
errorlog = "-"
loglevel = "warning"


def on_starting(_server: Any) -> None:
    """Stop with status 78 before anything is served where the operator must act first."""
    try:
        load("web", Settings)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(78)
