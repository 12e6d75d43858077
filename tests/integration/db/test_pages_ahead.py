"""Pages that another process reads and decides about: the same ones, from where this one stands; and when it dies."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from db.engine import Database
from db.rescore import PAGE_FACES
from db.tables import Face
from scripts import rescoring
from scripts.bench.faces import MadeUpFaces, make_faces, store_faces
from scripts.deciding import DecidingModel
from scripts.pages_ahead import PageAhead, PageReader, Pages, ReadingProcess, read_ahead
from scripts.rescoring import Rescoring
from tests import ledger

FACES = PAGE_FACES + 100  # two pages
READY_S = 30.0


@pytest.fixture(scope="module")
def faces() -> MadeUpFaces:
    return make_faces(FACES, 5)


@pytest.fixture
def stored(database: Database, faces: MadeUpFaces) -> Database:
    store_faces(database, faces)
    return database


@pytest.fixture
def reader(stored: Database, faces: MadeUpFaces) -> PageReader:
    return PageReader(stored, faces.model)


@pytest.fixture
def beside(stored: Database, faces: MadeUpFaces) -> Iterator[ReadingProcess]:
    with ReadingProcess(stored.url, faces.model) as process:
        yield process


class Late(ReadingProcess):
    """Is up after the first page, however long that takes."""

    began: tuple[list[int], int] | None = None
    _asked = 0

    def is_ready(self, wait_s: float = 0.0) -> bool:
        self._asked += 1
        return self._asked > 1 and super().is_ready(READY_S)

    def pages(self, jobs: Sequence[int], after: int) -> Pages:
        self.began = list(jobs), after
        return super().pages(jobs, after)


def as_read_here(reader: PageReader) -> list[PageAhead]:
    return [page for page in reader.pages([1], -1) if page is not None]


def assert_same(found: list[PageAhead], expected: list[PageAhead]) -> None:
    assert [page.decided.page.until for page in found] == [page.decided.page.until for page in expected]
    for page, other in zip(found, expected, strict=True):
        assert page.said == other.said
        assert vars(page.decided.page) == vars(other.decided.page)
        assert vars(page.decided.new) == vars(other.decided.new)
        assert page.decided.moves() == other.decided.moves()


def test_another_process_reads_the_same_pages(reader: PageReader, beside: ReadingProcess) -> None:
    assert beside.is_ready(READY_S)
    assert_same(list(read_ahead(reader, [1], beside)), as_read_here(reader))


@pytest.mark.one_database
def test_it_goes_on_where_this_one_stands(reader: PageReader, stored: Database, faces: MadeUpFaces) -> None:
    with Late(stored.url, faces.model) as beside:
        assert_same(list(read_ahead(reader, [1], beside)), as_read_here(reader))
    assert beside.began == ([1], PAGE_FACES - 1), "the second page is the first that it reads"


@pytest.mark.one_database
@pytest.mark.parametrize("pages_before", [0, 1])
def test_should_it_die_its_pages_are_read_here(reader: PageReader, beside: ReadingProcess, pages_before: int) -> None:
    assert beside.is_ready(READY_S)
    pages = read_ahead(reader, [1], beside)
    found = [next(pages) for _ in range(pages_before)]
    process = beside._process
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    assert_same(found + list(pages), as_read_here(reader))


@pytest.mark.one_database
def test_an_error_over_there_comes_to_light_here(reader: PageReader, stored: Database, faces: MadeUpFaces) -> None:
    elsewhere = "sqlite:////nowhere/facefleet.db"
    with ReadingProcess(elsewhere, faces.model) as process:
        assert process.is_ready(READY_S)
        assert_same(list(read_ahead(reader, [1], process)), as_read_here(reader))


@pytest.mark.one_database
def test_many_faces_get_the_outcomes_that_few_get(
    stored: Database, faces: MadeUpFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Late] = []

    def begin(url: str, model: DecidingModel) -> Late:
        begun.append(Late(url, model))
        return begun[-1]

    monkeypatch.setattr(rescoring, "ReadingProcess", begin)
    rows = []
    for model, many in ((faces.model, FACES + 1), (replace(faces.model, model_id=3), FACES)):
        monkeypatch.setattr(rescoring, "MANY_FACES", many)
        tally = Rescoring(
            stored, model, job_id=None, only_while_serving=False, clock=lambda: ledger.NOW, tell=lambda _: None
        ).run()
        assert tally.faces == FACES
        with stored.read() as session:
            columns = (Face.ordinal, Face.outcome, Face.person_id, Face.similarity, Face.confidence, Face.ranking)
            rows.append(session.execute(select(*columns).order_by(Face.ordinal)).all())
    assert rows[0] == rows[1]
    assert [beside.began for beside in begun] == [([1], PAGE_FACES - 1)]
