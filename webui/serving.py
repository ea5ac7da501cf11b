"""gunicorn's settings: `gunicorn -c python:webui.serving --bind ADDRESS "webui:create_app()"`.

One process with a few threads: keys in memory are shared, connections to PostgreSQL are few.
"""

import os
import sys
from typing import Any

import sdnotify
from gunicorn.workers.gthread import ThreadWorker

from common.config import load
from common.errors import ConfigError
from webui.settings import Settings

proc_name = "callstash-web"
workers = 1
threads = 12
timeout = 60
graceful_timeout = 5
keepalive = 30
limit_request_line = 4094
limit_request_field_size = 8190
errorlog = "-"
loglevel = "warning"


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves requests; each turn of its loop tells gunicorn and systemd that it is well."""

    def init_process(self) -> None:
        """Begin as the user that we are: gunicorn would set that again, which systemd's sandbox
        refuses.
        """
        self.cfg.set("user", 0)
        super().init_process()

    def notify(self) -> None:
        """Say that the loop turned."""
        super().notify()
        if os.environ.get("NOTIFY_SOCKET"):
            sdnotify.SystemdNotifier().notify("WATCHDOG=1\nSTATUS=serving the web UI")


worker_class = "webui.serving.Worker"


def on_starting(_server: Any) -> None:
    """Stop with status 78 before anything is served where the operator must act first."""
    try:
        load("web", Settings)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(78)


def on_exit(_server: Any) -> None:
    """End at once, when the requests are answered and the workers gone.

    What Python takes down after this aborts in systemd's sandbox: an orderly stop looked like a
    crash.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(sys.exc_info()[1], "exit_status", 0))
