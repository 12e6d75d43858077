"""`facefleet sweeper`: the sweeper, until it is told to stop."""

import signal
import threading
from types import FrameType

from core.log import set_up_logging
from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import write_json


@command("sweeper", example="facefleet sweeper")
def sweeper(invocation: Invocation) -> None:
    """Run the sweeper, which takes back lost work and hands it out again.

    Every fleet needs one; several do no harm. It outlives Redis or the database being away.
    """
    from db import schema
    from db.engine import Database
    from workers.doorbell import Doorbell
    from workers.embedded import find_redis_url
    from workers.sweep import run_sweeper

    settings = Settings.from_env()
    stopping = _stop_on_signals()
    set_up_logging("sweeper", settings.log_level)
    doorbell = Doorbell(find_redis_url(settings))
    database = Database.from_settings(settings)
    try:
        schema.check(database)
        run_sweeper(database, doorbell, settings, wait=stopping.wait)
    finally:
        database.close()
        doorbell.close()
    if invocation.as_json:
        write_json({"role": "sweeper", "exit_code": 0})


def _stop_on_signals() -> threading.Event:
    """Return what SIGTERM and Ctrl-C set; a second signal ends the process at once."""
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping
