"""Identifying a chunk: claim, recognise, and commit the outcomes behind the lease, in one transaction.

Plain code: takes what it needs as arguments and knows no Celery, no torch, no Redis.
"""

import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from core.clock import Clock
from core.errors import DatabaseUnreachableError, InputError
from core.models.holder import ServingModel
from core.records import ErrorRecord, FacesMode, ItemOutcome, PhotoResult, PhotoTask
from core.stages import Stage, TimeStage, untimed
from db import chunks, suspects
from db.chunks import ChunkLease
from db.claims import claim_due_chunk
from db.engine import Database
from workers.pulse import SlotReporter
from workers.retry import DATABASE_WAITS_S, Reaction, reaction_to, recognise_all, retry_database, without_end
from workers.shadow import score_chunk
from workers.stop import StopFlag
from workers.watch import Choice, ModelWatch, read_wanted

_log = logging.getLogger(__name__)

OnProgress = Callable[[int], None]

HOLD_S = 0.5
"""How long a bell is answered before it goes back into the queue while chunks are due. Putting it back costs 3 to 4 ms;
held much longer, a node that is told to stop would begin chunks that it cannot finish in time."""


class ChunkEnd(Enum):
    """How work on a chunk ended."""

    DONE = "done"  # the outcomes of all photos of a chunk are stored
    NOTHING_DUE = "nothing due"  # no chunk waits that may be worked on: the bell may go
    PUT_BACK = "put back"  # no chunk can be worked on here now
    BROKEN_OFF = "broken off"  # the chunk is left to its next owner or to the sweeper
    RESTART = "restart"  # the device failed or the process is worn out: it must be replaced


class Recognise(Protocol):
    """Looks at photos with one model (core.recognise.Recogniser)."""

    def __call__(
        self,
        model: ServingModel,
        tasks: Sequence[PhotoTask],
        on_progress: OnProgress,
        *,
        faces: FacesMode,
        fpir: float | None,
    ) -> list[PhotoResult]:
        """Return one outcome a task, in the same order; what `on_progress` raises ends the call."""


@dataclass(frozen=True, kw_only=True)
class IdentifyContext:
    """What identifying needs."""

    database: Database
    watch: ModelWatch
    recognise: Recognise
    reporter: SlotReporter
    stop: StopFlag
    clock: Clock
    lease_s: float
    interactive_photos: int
    """Photos of the largest job that goes before larger ones."""
    poll_s: float
    """How long a bell that cannot be answered is held before it is put back."""
    time_stage: TimeStage = untimed


def answer_bell(context: IdentifyContext) -> ChunkEnd:
    """Work on chunks that are due, one after the other, for HOLD_S; return how the last of them ended."""
    until_s = time.monotonic() + HOLD_S
    while (end := identify_chunk(context)) is ChunkEnd.DONE and time.monotonic() < until_s:
        if context.stop.requested:
            break
    return end


def identify_chunk(context: IdentifyContext) -> ChunkEnd:
    """Work on the chunk that is due. However often bells ring for it, its outcomes are stored once."""
    try:
        with context.watch.between_chunks:
            with context.time_stage(Stage.CLAIM):
                claimed = _claim(context)
            return ChunkEnd.NOTHING_DUE if claimed is None else _work(*claimed, context)
    except (DatabaseUnreachableError, _NoModelHereError) as error:
        _log.log(logging.DEBUG if isinstance(error, _NoModelHereError) else logging.WARNING, "%s", error)
        return _put_back(context)


class _NoModelHereError(Exception):
    """No model is here yet that can look at the chunk; the claim is rolled back."""


def _claim(context: IdentifyContext) -> tuple[ChunkLease, list[PhotoTask], Choice] | None:
    """Take the chunk that is due and its photos in one transaction; say which models look at it.

    Raises:
        _NoModelHereError: nothing was taken.
    """
    if context.watch.switch() is None:
        context.watch.look()
        raise _NoModelHereError("no model serves here yet")
    with context.database.write() as session:
        lease = claim_due_chunk(
            session, context.reporter.claimant, context.clock(), context.lease_s, context.interactive_photos
        )
        if lease is None:
            return None
        # Asked after the claim, so that whatever was activated before the claim is seen.
        choice = context.watch.choose(read_wanted(session), lease.chunk_id, FacesMode(lease.faces_mode))
        if choice is None:
            raise _NoModelHereError(f"no model is here yet that takes the photos of chunk {lease.chunk_id}")
        return lease, chunks.load_tasks(session, lease), choice


def _work(lease: ChunkLease, tasks: Sequence[PhotoTask], choice: Choice, context: IdentifyContext) -> ChunkEnd:
    """Recognise and commit; whatever goes wrong, the chunk is left so that it will be worked on again."""
    begun_s = time.monotonic()
    keeper = _LeaseKeeper(lease, context)
    try:
        results = _outcomes(lease, tasks, choice.model, keeper, context)
        # The outcomes are there: nothing is won by dropping them, and an attempt must not count because a disk is full.
        waits_s = without_end(DATABASE_WAITS_S)
        with context.time_stage(Stage.STORE):
            retry_database(lambda: _finish(lease, results, choice.model, context), pause=keeper.pause, waits_s=waits_s)
    except Exception as error:
        return _settle(lease, error, context)
    _log.info("chunk %d: %d photos in %.2f s", lease.chunk_id, len(results), time.monotonic() - begun_s)
    if choice.shadow is None or score_chunk(lease, tasks, results, (choice.model, choice.shadow), context):
        return ChunkEnd.DONE
    return ChunkEnd.RESTART


def _outcomes(
    lease: ChunkLease, tasks: Sequence[PhotoTask], model: ServingModel, keeper: "_LeaseKeeper", context: IdentifyContext
) -> list[PhotoResult]:
    """Give every photo of the chunk its outcome."""
    look = functools.partial(
        context.recognise,
        model,
        on_progress=keeper.on_progress,
        faces=FacesMode(lease.faces_mode),
        fpir=lease.fpir,
    )
    try:
        return recognise_all(look, tasks, pause=keeper.pause)
    except InputError as error:  # this model cannot look at what this job asks for: each photo says so
        return [_refused(task, error) for task in tasks]


def _finish(lease: ChunkLease, results: Sequence[PhotoResult], model: ServingModel, context: IdentifyContext) -> None:
    """Store outcomes, counters, the chunk's state and the slot's progress in one transaction."""
    with context.database.write() as session:
        chunks.finish_chunk(session, lease, results, model.version, context.clock())
        context.reporter.write(session, advanced=True)


def _settle(lease: ChunkLease, error: Exception, context: IdentifyContext) -> ChunkEnd:
    """Do with the chunk what workers/retry says."""
    reaction = reaction_to(error)
    unforeseen = reaction in {Reaction.COUNT, Reaction.SUSPECT_AND_RESTART}
    _log.log(
        logging.ERROR if unforeseen else logging.INFO,
        "chunk %d is not done here (%s): %s",
        lease.chunk_id,
        reaction.value,
        error,
        exc_info=error if unforeseen else None,
    )
    try:
        with context.database.write() as session:
            if reaction is Reaction.GIVE_BACK:
                chunks.release_chunk(session, lease)
            elif reaction is Reaction.SUSPECT_AND_RESTART:
                suspects.suspect_chunk(session, lease, context.reporter.name, context.clock(), context.lease_s)
            elif reaction is Reaction.COUNT:
                chunks.expire_lease(session, lease, context.clock())
    except DatabaseUnreachableError as outage:
        _log.warning("%s The lease of chunk %d runs out instead.", outage, lease.chunk_id)
    if reaction is Reaction.SUSPECT_AND_RESTART:
        return ChunkEnd.RESTART
    return ChunkEnd.PUT_BACK if reaction is Reaction.GIVE_BACK else ChunkEnd.BROKEN_OFF


def _put_back(context: IdentifyContext) -> ChunkEnd:
    """Hold a bell that cannot be answered for a moment, so that it does not circle at full speed."""
    if context.watch.is_loading:
        context.watch.wait_loaded(context.poll_s)
    else:
        time.sleep(context.poll_s)
    return ChunkEnd.PUT_BACK


def _refused(task: PhotoTask, error: InputError) -> PhotoResult:
    return PhotoResult(
        ordinal=task.ordinal,
        uri=task.uri,
        outcome=ItemOutcome.ERROR,
        sha256=None,
        width_px=None,
        height_px=None,
        error=ErrorRecord(code=error.code, message=error.message),
    )


class _LeaseKeeper:
    """Extends the lease while the work advances, and breaks it off when the lease is lost or the process must stop."""

    def __init__(self, lease: ChunkLease, context: IdentifyContext) -> None:
        self._lease = lease
        self._context = context
        self._due_s = time.monotonic() + context.lease_s / 3

    def on_progress(self, _settled: int) -> None:
        """Hear that the work advanced.

        Raises:
            StopRequested: the process is to stop.
            LeaseLostError: the chunk has another owner.
        """
        self._context.stop.check()
        if time.monotonic() < self._due_s:
            return
        try:
            with self._context.database.write() as session:
                chunks.extend_lease(session, self._lease, self._context.clock(), self._context.lease_s)
        except DatabaseUnreachableError as error:  # the commit will tell whether the lease still holds
            _log.warning("%s The lease of chunk %d was not extended.", error, self._lease.chunk_id)
        self._due_s = time.monotonic() + self._context.lease_s / 3

    def pause(self, seconds: float) -> None:
        """Wait while keeping the lease."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self.on_progress(0)
            time.sleep(min(left_s, 0.2))
