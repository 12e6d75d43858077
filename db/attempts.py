"""What is said of the one photo that ended its workers, by the way in which they ended. Asks the ledger nothing."""

from core.records import AttemptEnd, ErrorRecord

_HOW = {
    AttemptEnd.HUNG: "hung in the code that decodes it and was ended",
    AttemptEnd.KILLED: "was killed, most likely by the system for want of memory,",
    AttemptEnd.CRASHED: "crashed",
    AttemptEnd.DEVICE: "lost its device",
    None: "died or hung",
}
_WHAT_TO_DO = {
    AttemptEnd.CRASHED: "Look at the file, or take it out of the batch.",
    AttemptEnd.HUNG: "Look at the file, or raise FACEFLEET_PHOTO_TIMEOUT_S if it is only slow.",
    AttemptEnd.KILLED: "Look at the file; if it is sound, give the workers more memory or run fewer of them there.",
    AttemptEnd.DEVICE: "Look at the file; if it is sound, at the device: `facefleet doctor` and the worker's log.",
    None: "Look at the file, or take it out of the batch.",
}


def last_word(ended_by: AttemptEnd | None, attempts: int) -> ErrorRecord:
    """Return the error of a photo that is given up.

    Args:
        ended_by: how the last attempt ended; None when its lease ran out and nobody saw why.
        attempts: how often it was tried alone.
    """
    return ErrorRecord(
        code="timed_out" if ended_by is AttemptEnd.HUNG else "worker_crashed",
        message=f"The worker {_HOW[ended_by]} {attempts} times on this photo alone. It was not identified; its "
        f"neighbours were. {_WHAT_TO_DO[ended_by]}",
    )
