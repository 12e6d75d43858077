"""`facefleet sweeper`: the sweeper, until it is told to stop."""

import signal
import time
from types import FrameType

from core.log import set_up_logging
from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import write_json

_LOOK_S = 0.2


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
    stopping = _StopSignals()
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


class _StopSignals:
    """Waits until SIGTERM or Ctrl-C; a second signal ends the process at once.

    A plain attribute, not a `threading.Event`: the event's lock may be held by the very thread the signal interrupts.
    """

    def __init__(self) -> None:
        self._received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a signal; return whether one came."""
        end_s = time.monotonic() + seconds
        while not self._received and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_S))
        return self._received

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._received = True
        signal.signal(number, signal.SIG_DFL)
