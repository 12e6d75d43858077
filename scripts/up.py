"""`facefleet up`: everything on this machine in one process tree, until it is told to stop."""

import os
import signal
import socket
import sys
import time
from contextlib import closing, suppress

import click

from core.errors import InputError
from core.log import set_up_logging
from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import say, write_json
from scripts.progress import show_progress

_HOST = "127.0.0.1"
_PORT = 8080
_PAGE_TIMEOUT_S = 20.0


@command("up", example="facefleet up\nfacefleet up --workers 2 --port 9000")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes that identify photos.",
    show_default="one a core, or one a GPU",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="P", help="Port of the status page.", show_default=f"{_PORT}"
)
def up(invocation: Invocation, workers: int | None, port: int | None) -> None:
    """Run everything on this machine: Redis, workers, trainer, sweeper.

    Redis is brought along unless FACEFLEET_REDIS_URL is set. SIGTERM or Ctrl-C stops it all; nothing is lost, and what
    was under way goes on with the next `facefleet up`.
    """
    from workers.supervisor import Fleet

    settings = Settings.from_env()
    set_up_logging("up", "WARNING")
    chosen = _choose_port(port)
    url = f"http://{_HOST}:{chosen}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    fleet = Fleet(settings, workers, port=chosen)
    try:
        with show_progress("Starting"):
            fleet.start()
            _wait_for_page(chosen)
        _announce(invocation, settings, url)
        fleet.wait()
    except KeyboardInterrupt:
        say("Stopping: what is under way is finished or given back.")
    finally:
        fleet.stop()


def _choose_port(wanted: int | None) -> int:
    """Return the port for the status page: the one that is wanted, else the usual one, else any that is free.

    Raises:
        InputError: the one that is wanted is taken.
    """
    for port in (wanted or _PORT, 0):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
            return int(probe.getsockname()[1])
        if wanted is not None:
            break
    raise InputError(f"Port {wanted or _PORT} of {_HOST} is taken. Nothing was started. Choose another with `--port`.")


def _wait_for_page(port: int) -> None:
    """Give the status page time to come up; the fleet works without it."""
    deadline_s = time.monotonic() + _PAGE_TIMEOUT_S
    while time.monotonic() < deadline_s:
        with suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
            return
        time.sleep(0.1)
    say("The status page does not answer yet; everything else runs.")


def _announce(invocation: Invocation, settings: Settings, url: str) -> None:
    if invocation.as_json:
        write_json({"ready": True, "url": url, "home": str(settings.home), "pid": os.getpid()})
    else:
        click.echo(f"facefleet is ready: {url}")
    sys.stdout.flush()
