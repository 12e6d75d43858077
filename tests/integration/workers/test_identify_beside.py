"""A model beside the active one decides its share of the chunks, or scores it after they are stored, and harms none."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from core.clock import utc_now
from core.errors import DatabaseUnreachableError
from core.models.holder import ServingModel
from core.records import Agreement, FaceOutcome, FacesMode, JobState, PhotoResult, PhotoTask
from db import beside, registry, shadow
from db.engine import Database
from tests import ledger
from tests.engines import StubLoader
from tests.integration.workers.test_identify_outages import make_context
from workers.identify import ChunkEnd, IdentifyContext, identify_chunk
from workers.stop import StopRequested
from workers.watch import is_in_share

CHUNKS = 40


class Scene:
    """A job, the active model, and one that stands beside it once the test says so."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.loader = StubLoader()
        (self.ada,) = ledger.add_people(database, "Ada")
        self.calls: list[int] = []
        self.fault: Callable[[int], None] = lambda version: None
        made = make_context(database, lambda tasks: [], loader=self.loader)
        self.context: IdentifyContext = replace(made, recognise=self.recognise)
        with database.write() as session:
            self.active, self.other = 1, ledger.add_model(session, "b" * 64)
        self.job_id, self.chunk_ids = ledger.add_job(database, items=4 * CHUNKS)

    def recognise(
        self,
        model: ServingModel,
        tasks: Sequence[PhotoTask],
        on_progress: Callable[[int], None],
        *,
        faces: FacesMode,
        fpir: float | None,
    ) -> list[PhotoResult]:
        """The active model names nobody; the other one says of the first photo of each chunk that it is Ada."""
        self.calls.append(model.version)
        self.fault(model.version)
        on_progress(0)
        named = ledger.face(outcome=FaceOutcome.IDENTIFIED, person_id=self.ada)
        return [
            ledger.result(
                task.ordinal, named if model.version == self.other and not task.ordinal % 4 else ledger.face()
            )
            for task in tasks
        ]

    def begin(self, put: Callable[..., None], share: float) -> None:
        """Let the other model stand beside the active one, and wait until it is loaded."""
        with self.database.write() as session:
            put(session, registry.get_model(session, f"v{self.other}"), share, who="test", now=utc_now())
        self.context.watch.look()

        def is_here() -> bool:
            self.context.watch.switch()
            return self.context.watch.beside is not None

        ledger.wait_until(is_here)

    def work(self) -> list[ChunkEnd]:
        """Work on every chunk."""
        return [identify_chunk(self.context) for _ in self.chunk_ids]

    def models_of_chunks(self) -> list[set[int | None]]:
        """The models that each chunk's rows name."""
        items = ledger.items_of(self.database, self.job_id)
        return [{item.model_id for item in items[4 * number : 4 * number + 4]} for number in range(CHUNKS)]

    def report(self) -> shadow.ShadowReport:
        with self.database.read() as session:
            return shadow.read_report(session, self.other)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_a_share_is_the_same_everywhere_and_about_as_large_as_asked() -> None:
    chunks = range(10_000)
    tenth = {chunk for chunk in chunks if is_in_share(chunk, 7, 0.1)}
    assert 900 < len(tenth) < 1100
    assert tenth == {chunk for chunk in chunks if is_in_share(chunk, 7, 0.1)}
    assert tenth < {chunk for chunk in chunks if is_in_share(chunk, 7, 0.2)}  # a larger share takes more, not others
    assert tenth != {chunk for chunk in chunks if is_in_share(chunk, 8, 0.1)}  # another model looks at others
    assert not any(is_in_share(chunk, 7, 0.0) for chunk in chunks)
    assert all(is_in_share(chunk, 7, 1.0) for chunk in chunks)


def test_a_canary_decides_its_share_of_the_chunks_and_each_row_says_so(scene: Scene) -> None:
    scene.begin(beside.set_canary, 0.3)
    assert scene.work() == [ChunkEnd.DONE] * CHUNKS
    expected = [{scene.other if is_in_share(chunk, scene.other, 0.3) else scene.active} for chunk in scene.chunk_ids]
    assert scene.models_of_chunks() == expected
    assert len({frozenset(models) for models in expected}) == 2, "both decided some"
    assert len(scene.calls) == CHUNKS
    assert scene.report().chunks == 0


def test_a_canary_that_is_not_loaded_leaves_its_chunks_to_the_active_model(scene: Scene) -> None:
    scene.loader.break_file("b" * 64)
    with scene.database.write() as session:
        beside.set_canary(session, registry.get_model(session, f"v{scene.other}"), 1.0, who="test", now=utc_now())
    assert scene.work() == [ChunkEnd.DONE] * CHUNKS
    assert set(scene.calls) == {scene.active}
    assert [failed.model.version for failed in scene.context.watch.failures] == [scene.other]
    assert scene.context.watch.error is None  # the active model serves


def test_a_canary_that_steps_aside_decides_nothing_more(scene: Scene) -> None:
    scene.begin(beside.set_canary, 1.0)
    assert identify_chunk(scene.context) is ChunkEnd.DONE
    with scene.database.write() as session:
        beside.clear(session, who="test", now=utc_now())
    assert identify_chunk(scene.context) is ChunkEnd.DONE
    assert scene.calls == [scene.other, scene.active]
    assert scene.context.watch.beside is None


def test_a_canary_for_other_photos_than_a_job_has_leaves_them_to_the_active_model(scene: Scene) -> None:
    scene.loader.faces["b" * 64] = FacesMode.DETECT
    scene.begin(beside.set_canary, 1.0)
    assert scene.work() == [ChunkEnd.DONE] * CHUNKS
    assert set(scene.calls) == {scene.active}


def test_a_shadow_scores_its_share_after_the_active_model_has_decided(scene: Scene) -> None:
    scene.begin(beside.set_shadow, 0.3)
    assert scene.work() == [ChunkEnd.DONE] * CHUNKS
    scored = [chunk for chunk in scene.chunk_ids if is_in_share(chunk, scene.other, 0.3)]
    assert scene.models_of_chunks() == [{scene.active}] * CHUNKS
    report = scene.report()
    assert (report.chunks, report.photos, report.active_ids) == (len(scored), 4 * len(scored), (scene.active,))
    assert report.faces[Agreement.GAINED] == len(scored)
    assert report.faces[Agreement.SAME] == 3 * len(scored)
    assert report.agreed == 0.75
    assert scene.calls.count(scene.other) == len(scored) > 0
    job = ledger.get_job(scene.database, scene.job_id)
    assert (job.state, job.faces_identified) == (JobState.DONE, 0)


class AcceleratorError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ValueError("it has no answer"), ChunkEnd.DONE),
        (MemoryError(), ChunkEnd.DONE),
        (AcceleratorError("CUDA error: an illegal memory access"), ChunkEnd.RESTART),
    ],
)
def test_a_shadow_that_fails_costs_its_score_alone_and_says_why(scene: Scene, error: Exception, end: ChunkEnd) -> None:
    def fail(version: int) -> None:
        if version == scene.other:
            raise error

    scene.begin(beside.set_shadow, 1.0)
    scene.fault = fail
    assert identify_chunk(scene.context) is end
    assert scene.models_of_chunks()[0] == {scene.active}
    [chunk, *_] = ledger.chunks_of(scene.database, scene.job_id)
    assert (chunk.state, chunk.attempts) == ("done", 1)
    report = scene.report()
    assert (report.chunks, report.failed_chunks) == (1, 1)
    assert report.last_failure is not None
    assert report.last_failure.message == (str(error) or "MemoryError")


def test_a_worker_that_is_stopped_leaves_the_score_and_not_the_chunk(scene: Scene) -> None:
    def stop(version: int) -> None:
        if version == scene.other:
            raise StopRequested("the process was asked to stop")

    scene.begin(beside.set_shadow, 1.0)
    scene.fault = stop
    assert identify_chunk(scene.context) is ChunkEnd.DONE
    assert ledger.chunks_of(scene.database, scene.job_id)[0].state == "done"
    assert scene.report().chunks == 0


def test_a_ledger_that_goes_away_loses_the_score_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnreachableError("It is away.")

    scene.begin(beside.set_shadow, 1.0)
    monkeypatch.setattr(shadow, "store_score", away)
    assert identify_chunk(scene.context) is ChunkEnd.DONE
    assert ledger.chunks_of(scene.database, scene.job_id)[0].state == "done"
