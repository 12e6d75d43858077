"""Pages of stored faces, decided about before their turn to be written: in this process, and then in one beside it.

SQLite takes rows from one writer, and a thread beside it would take turns with it at the interpreter's lock. So where
there are many faces, another process reads and decides, and this one writes.
"""

import multiprocessing
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Self

from threadpoolctl import threadpool_limits

from db import rescore
from db.corrections import last_said
from db.engine import Database
from db.redecide import FaceKey, StoredFace, load_faces
from scripts.deciding import DecidedPage, DecidingModel, decide_page, prepare_page
from workers.memory import keep_freed_memory

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.rescore import StoredPage

_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class PageAhead:
    """A page that was decided about before it is written."""

    decided: DecidedPage
    said: tuple[int | None, Mapping[int, int]]
    """How far people had spoken when it was read."""


Pages = Iterator[PageAhead | None]
"""The pages of jobs, one after the other; None after the last one of each job."""


class PageReader:
    """Reads pages of stored faces and decides about them.

    Args:
        database: the ledger.
        model: decides.
    """

    def __init__(self, database: Database, model: DecidingModel) -> None:
        self._database = database
        self._model = model

    def pages(self, jobs: Sequence[int], after: int) -> Pages:
        """Yield the pages of jobs; of the first one those of the photos behind an ordinal."""
        for job_id in jobs:
            while (page := self._next_page(job_id, after)) is not None:
                yield page
                after = page.decided.page.until
            yield None
            after = -1

    def _next_page(self, job_id: int, after: int) -> PageAhead | None:
        with self._database.read() as session:
            said = last_said(session)  # first: what is said later makes the page be read again
            page = self.read(session, job_id, after)
            if page is None:
                return None
            prepared = prepare_page(session, page)
        return PageAhead(decided=decide_page(prepared, self._model, self._load), said=said)

    def read(self, session: "Session", job_id: int, after: int, until: int | None = None) -> "StoredPage | None":
        """Return the faces of a job's next photos that the model has not decided about; None when there are no more."""
        return rescore.read_page(
            session,
            job_id,
            after,
            until=until,
            backbone_sha256=self._model.backbone_sha256,
            dim=self._model.gallery.shape[1],
            without_model=self._model.model_id,
        )

    def _load(self, keys: Sequence[FaceKey]) -> Sequence[StoredFace]:
        with self._database.read() as session:
            return load_faces(session, keys)


class ReadingProcess:
    """A process that reads and decides beside this one. Started when the block begins, ended with it.

    Args:
        url: of the ledger.
        model: decides.
    """

    def __init__(self, url: str, model: DecidingModel) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._model = model
        self._pipe, self._theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(self._theirs, url), daemon=True)
        self._one_core = ExitStack()

    def __enter__(self) -> Self:
        self._one_core.enter_context(threadpool_limits(1, "blas"))  # the threads of products would wait for this core
        self._process.start()
        self._theirs.close()  # so that its end is noticed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._one_core.close()
        self._pipe.close()
        self._process.terminate()  # it only reads
        self._process.join(_END_TIMEOUT_S)

    def is_ready(self, wait_s: float = 0.0) -> bool:
        """Whether it can begin, or has ended: it is up some tenths of a second after its start."""
        return self._pipe.poll(wait_s)

    def pages(self, jobs: Sequence[int], after: int) -> Pages:
        """Yield the pages of jobs, as `PageReader.pages` does. Asked once, when it is ready.

        Raises:
            EOFError: it ended, for whatever reason.
        """
        try:
            self._pipe.recv()
            self._pipe.send((self._model, list(jobs), after))
            while True:
                yield self._pipe.recv()
        except OSError as error:
            raise EOFError from error


def read_ahead(reader: PageReader, jobs: Sequence[int], beside: ReadingProcess | None) -> Generator[PageAhead]:
    """Yield the pages of jobs: read here, and as soon as another process can do so, there.

    Should that one end, its work is done here again, where an error also comes to light.
    """
    left, after = deque(jobs), -1
    pages = reader.pages(jobs, after)
    while left:
        if beside is not None and beside.is_ready():
            pages, beside = beside.pages(left, after), None
        try:
            page = next(pages)
        except EOFError:
            pages = reader.pages(left, after)
            continue
        if page is None:
            left.popleft()
            after = -1
        else:
            after = page.decided.page.until
            yield page


def _serve(pipe: Connection, url: str) -> None:
    """Be the process: say that it is up, hear what to do, send pages."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that it reads for ends it
    warnings.simplefilter("ignore")  # as in every process that users start
    keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = "1"  # before numpy comes, with the model: the other core is the writer's
    with closing(pipe), closing(Database(url)) as database:
        try:
            pipe.send(None)
            model, jobs, after = pipe.recv()
            for page in PageReader(database, model).pages(jobs, after):
                pipe.send(page)
        except Exception:
            sys.exit(1)  # read_ahead does the page itself, and meets what there was to meet
