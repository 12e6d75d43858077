"""A contender: Celery as one writes it first, a task for every photo. Also the program of its worker.

What it is given, so that only its shape is compared: the same Redis and database, the same model in the variant that is
fastest for single photos, loaded once a process, the same cores. What it does for every photo: a message, read, decode,
find faces where they are to be found, run the network, decide, one row, one commit.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from db.engine import Database
from scripts.bench.contender import Card, ContenderError, Timed
from scripts.bench.fleet import LOOK_S, BenchFleet
from workers.parent import die_with_parent
from workers.spec import NodeSpec, Role, make_spec

if TYPE_CHECKING:
    from celery import Celery

CARD = Card(
    key="celery",
    title="Celery, one photo a task",
    does="A task for every photo in a prefork worker of as many processes: the model is loaded once a process and "
    "given one photo at a time; one row and one commit a photo in the same SQLite file. No retries, no leases.",
)
_QUEUE = "bench-naive"
_TASK = "naive.identify"
_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 15.0
_WARM_PHOTOS = 64
_ROOT = Path(__file__).resolve().parent.parent.parent
_TABLES = sa.MetaData()
_PHOTOS = sa.Table(
    "bench_naive",
    _TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("faces", sa.JSON, nullable=False),
    sa.Column("stored_at", sa.Float, nullable=False),
)


class CeleryContender:
    """The worker, running, and who sends it photos.

    Args:
        fleet: whose Redis and database it shares.
        worker: its parent process.
    """

    def __init__(self, fleet: BenchFleet, worker: "subprocess.Popen[bytes]") -> None:
        self.card = CARD
        self.ran_as = ""
        self._database = fleet.database
        self._worker = worker
        self._app = make_naive_app(fleet.settings.redis_url, _unused)

    def run(self, uris: Sequence[str]) -> Timed:
        """Send a message for every photo, and wait for the last row."""
        with self._database.write() as session:
            session.execute(sa.delete(_PHOTOS))
        begun_s = time.time()
        task = self._app.tasks[_TASK]
        for number, uri in enumerate(uris):
            task.delay(number, uri)
        while True:
            time.sleep(LOOK_S)
            with self._database.read() as session:
                done, last_s = session.execute(sa.select(sa.func.count(), sa.func.max(_PHOTOS.c.stored_at))).one()
            if done == len(uris):
                return Timed(seconds=float(last_s) - begun_s, faces=self._count_faces())
            if self._worker.poll() is not None:
                raise ContenderError(f"its worker ended with exit code {self._worker.returncode}")

    def _count_faces(self) -> int:
        with self._database.read() as session:
            return sum(len(faces) for faces in session.scalars(sa.select(_PHOTOS.c.faces)))


@contextmanager
def celery_contender(fleet: BenchFleet) -> Iterator[CeleryContender]:
    """Start the worker, wait until every process has loaded the model, and warm it.

    Raises:
        ContenderError: it did not start.
    """
    folder = fleet.settings.home / "naive"
    folder.mkdir(mode=0o700)
    _TABLES.create_all(fleet.database.engine)
    spec = make_spec(Role.IDENTIFY, fleet.settings, device="cpu", slots=fleet.workers)
    (folder / "spec.json").write_text(json.dumps({"spec": spec.to_json(), "sha256": fleet.model.sha256}))
    worker = _start_worker(folder)
    try:
        _wait_until_loaded(worker, folder, fleet.workers)
        contender = CeleryContender(fleet, worker)
        contender.run(fleet.uris[:_WARM_PHOTOS])
        yield contender
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def make_naive_app(redis_url: str, identify: Callable[[int, str], None]) -> "Celery":
    """Return the app as one writes it first: everything but its name, queue and broker is Celery's default.

    Args:
        redis_url: the broker.
        identify: what the task does: (number, URI) of a photo.
    """
    from celery import Celery

    app = Celery("naive", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_default_queue=_QUEUE,
        task_ignore_result=True,  # outcomes are in the database
        worker_proc_alive_timeout=_START_TIMEOUT_S,  # loading the model takes longer than Celery's 4 s
    )
    app.task(name=_TASK)(identify)
    return app


def _unused(number: int, uri: str) -> None:
    """Stand for the task where it is only sent."""


def _start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.bench.compare_celery", str(folder)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(os.getpid()),
            start_new_session=True,
        )


def _wait_until_loaded(worker: "subprocess.Popen[bytes]", folder: Path, count: int) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while len(list(folder.glob("ready-*"))) < count:
        if worker.poll() is not None or time.monotonic() > deadline_s:
            log = (folder / "worker.log").read_text(errors="replace").strip().splitlines()
            raise ContenderError(f"its worker did not start: {log[-1] if log else 'it said nothing'}")
        time.sleep(LOOK_S)


class _Naive:
    """What one process of the worker holds."""

    def __init__(self, spec: NodeSpec, sha256: str, slot: int) -> None:
        from core.images.decode import DecodeLimits
        from core.images.read import PhotoReader
        from core.recognise import face_source
        from scripts.bench.bare import load_on_slot

        settings = spec.settings
        self._database = Database.from_settings(settings)
        self._reader = PhotoReader.from_settings(settings)
        self._engine = load_on_slot(spec, sha256, slot, batch_size=1)
        self._source = face_source(self._engine, DecodeLimits.from_settings(settings))

    def identify(self, number: int, uri: str) -> None:
        """Identify one photo and commit its row."""
        faces = self._faces(uri)
        row = {"number": number, "uri": uri, "faces": faces, "stored_at": time.time()}
        with self._database.write() as session:
            session.execute(sa.insert(_PHOTOS).values(row))

    def _faces(self, uri: str) -> list[dict[str, Any]]:
        import numpy as np

        from core.errors import PhotoError
        from core.faces.match import decide

        try:
            (found,) = self._source.find([self._source.prepare(self._reader.read(uri))])
        except PhotoError as error:
            found = error
        if isinstance(found, PhotoError):
            return []
        faces = []
        for crop in found:
            channels_first = np.ascontiguousarray(crop.pixels.transpose(2, 0, 1)[None])
            answer = self._engine.run(channels_first)
            (match,) = decide(*answer, self._engine.gallery, self._engine.manifest.rule)
            faces.append({"box": crop.box_xyxy_px, "person": match.candidate, "similarity": match.similarity})
        return faces


def main(folder: Path) -> None:
    """Be the worker's program.

    Args:
        folder: holds `spec.json`; its processes say there that they are ready.
    """
    from billiard.process import current_process
    from celery.signals import worker_process_init

    from workers.runtime import slot_of_process

    told = json.loads((folder / "spec.json").read_text())
    spec = NodeSpec.from_json(told["spec"])
    held: list[_Naive] = []

    def load(**_: Any) -> None:
        slot = slot_of_process(current_process())
        held.append(_Naive(spec, told["sha256"], slot))
        (folder / f"ready-{slot}").touch()

    def identify(number: int, uri: str) -> None:
        held[0].identify(number, uri)

    worker_process_init.connect(load)
    app = make_naive_app(spec.settings.redis_url, identify)
    app.worker_main(["worker", f"--concurrency={spec.slots}", "--loglevel=WARNING"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
