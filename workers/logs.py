"""The log of a worker process: core.log, with the libraries kept from saying what facefleet says better."""

import logging
import warnings

from core.log import set_up_logging

_QUIET = {
    "celery.worker.strategy": logging.WARNING,  # a line for each bell
    "celery.app.trace": logging.ERROR,  # a traceback for each bell that is put back on purpose
}


def set_up_worker_logging(role: str, level: str) -> None:
    """Send this process's records to stderr.

    Args:
        role: stands in every line.
        level: a `logging` level name.
    """
    set_up_logging(role, level)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    # TorchScript is deprecated upstream and stays the artifact format.
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", message="`torch.jit", category=category)
