"""Scoring a chunk beside the model that decided it: after its outcomes are stored, so that it can harm none of them."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import DatabaseUnreachableError, FacefleetError
from core.faces.agreement import ScoredFace, pair_faces
from core.models.holder import ServingModel
from core.records import ErrorRecord, FacesMode, ItemOutcome, PhotoResult, PhotoTask
from db import shadow
from db.chunks import ChunkLease
from workers.retry import is_device_error
from workers.stop import StopRequested

if TYPE_CHECKING:
    from workers.identify import IdentifyContext

_log = logging.getLogger(__name__)


def score_chunk(
    lease: ChunkLease,
    tasks: Sequence[PhotoTask],
    decided: Sequence[PhotoResult],
    models: tuple[ServingModel, ServingModel],
    context: "IdentifyContext",
) -> bool:
    """Have a model look at a chunk that another one decided, and store what it says.

    What goes wrong is stored in its place: a shadow is there to show what it would do.

    Args:
        lease: on the chunk, which is done.
        tasks: its photos.
        decided: what the model said that decided them.
        models: that model, and the one beside it.
        context: what identifying needs.

    Returns:
        False when the device failed, and with it this process.
    """
    active, beside = models
    begun_s = time.monotonic()
    faces: list[tuple[int, list[ScoredFace]]] = []
    failure: Exception | None = None
    try:
        faces_mode = FacesMode(lease.faces_mode)
        seen = context.recognise(beside, tasks, lambda _: context.stop.check(), faces=faces_mode, fpir=lease.fpir)
        faces = _compare(decided, seen)
    except StopRequested:
        return True
    except Exception as error:  # whatever it is, the chunk is done
        _log.warning("model %d did not score chunk %d: %s", beside.version, lease.chunk_id, error, exc_info=error)
        failure = error
    score = shadow.ChunkScore(
        model_id=beside.version,
        active_id=active.version,
        chunk_id=lease.chunk_id,
        job_id=lease.job_id,
        photos=len(tasks),
        seconds=time.monotonic() - begun_s,
        faces=faces,
        error=None if failure is None else _as_record(failure),
    )
    try:
        with context.database.write() as session:
            shadow.store_score(session, score, context.clock())
    except DatabaseUnreachableError as error:
        _log.warning("%s What model %d said of chunk %d is lost.", error, beside.version, lease.chunk_id)
    return failure is None or not is_device_error(failure)


def _compare(decided: Sequence[PhotoResult], seen: Sequence[PhotoResult]) -> list[tuple[int, list[ScoredFace]]]:
    """Pair the faces of photos that both models could use."""
    pairs = zip(decided, seen, strict=True)
    usable = [(one, other) for one, other in pairs if ItemOutcome.ERROR not in {one.outcome, other.outcome}]
    return [(one.ordinal, pair_faces(one.faces, other.faces)) for one, other in usable]


def _as_record(error: Exception) -> ErrorRecord:
    code = error.code if isinstance(error, FacefleetError) else FacefleetError.code
    return ErrorRecord(code=code, message=str(error) or type(error).__name__)
