"""Every photo gets exactly one outcome, in order, whatever happens to its neighbours."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.errors import InputError, LeaseLostError, PhotoMissingError, SourceUnreachableError
from core.faces.rule import OperatingPoint
from core.images.decode import DecodeLimits
from core.images.read import PhotoReader
from core.models.engine import Engine, load_engine
from core.models.store import ModelStore
from core.recognise import Recogniser
from core.records import FaceOutcome, FacesMode, ItemOutcome, PhotoResult, PhotoTask
from tests.factories import make_artifact, make_classes, make_manifest, make_network, make_photo, make_rule
from workers.retry import is_out_of_memory

NAMES = ("Ada", "Grace", "Edsger", "Barbara")
STRANGER = 90


class FakeReader:
    """Reads out of a dict of bytes, errors to raise, and functions to call."""

    def __init__(self, photos: dict[str, bytes | Exception | Callable[[], bytes]]) -> None:
        self.photos = photos
        self.count = 0

    def read(self, uri: str) -> bytes:
        self.count += 1
        found = self.photos[uri]
        if isinstance(found, Exception):
            raise found
        return found() if callable(found) else found


def make_tasks(*uris: str) -> list[PhotoTask]:
    return [PhotoTask(ordinal=100 + i, uri=uri) for i, uri in enumerate(uris)]


PHOTOS: dict[str, bytes | Exception | Callable[[], bytes]] = {
    **{name: make_photo(person, shade=5) for person, name in enumerate(NAMES)},
    "stranger": make_photo(STRANGER),
    "broken": make_photo(0)[:-40],
    "text": b"no photo",
    "empty": b"",
    "missing": PhotoMissingError("It is not there."),
    "unreachable": SourceUnreachableError("It did not answer."),
    "bug": ZeroDivisionError("a bug in a reader"),
}
CODES = {
    "broken": "photo_broken",
    "text": "not_a_photo",
    "empty": "photo_empty",
    "missing": "photo_missing",
    "unreachable": "source_unreachable",
    "bug": "internal_error",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    store = ModelStore(tmp_path_factory.mktemp("store"))
    sha256 = make_artifact(store, make_classes(*NAMES))
    return load_engine(store.path(sha256), sha256, "cpu", batch_size=4)


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader(dict(PHOTOS))


@pytest.fixture
def recogniser(reader: FakeReader, engine: Engine) -> Iterator[Recogniser]:
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=2)
    yield recogniser
    recogniser.close()


def outcomes(results: list[PhotoResult]) -> list[str]:
    """What became of each photo: the error's code, or the faces' outcomes and people."""
    return [
        result.error.code if result.error else " ".join(f"{f.outcome} {f.person_id}" for f in result.faces)
        for result in results
    ]


def expected(uri: str) -> str:
    if uri == "stranger":
        return "unknown None"
    return CODES.get(uri) or f"identified {101 + NAMES.index(uri)}"


def test_known_people_are_named_and_strangers_are_not(recogniser: Recogniser) -> None:
    results = recogniser.recognise(make_tasks("Grace", "stranger", "Ada"))
    assert outcomes(results) == ["identified 102", "unknown None", "identified 101"]
    (face,) = results[0].faces
    assert face.candidate_id == 102
    assert face.similarity is not None and 0.9 < face.similarity <= 1.0001
    assert face.confidence is not None and 0.5 < face.confidence <= 1.0
    assert face.box_xyxy_px == (0.0, 0.0, 48.0, 48.0)
    assert (face.index, face.quality, face.quality_reasons, face.landmarks_px) == (0, None, (), ())
    assert face.top_k[0].person_id == 102 and len(face.top_k) == 4
    assert [p.similarity for p in face.top_k] == sorted((p.similarity for p in face.top_k), reverse=True)


def test_a_job_that_lets_fewer_strangers_have_a_name_is_decided_more_strictly(
    reader: FakeReader, engine: Engine
) -> None:
    points = tuple(OperatingPoint(fpir=fpir, threshold=at, margin=0.0) for fpir, at in ((0.001, 1.5), (0.1, -1.0)))
    manifest = replace(engine.manifest, rule=replace(engine.manifest.rule, other_points=points))
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=2)
    with patch.object(engine, "manifest", manifest), closing(recogniser):
        for fpir, named in ((None, [True, False]), (0.001, [False, False]), (0.1, [True, True])):
            results = recogniser.recognise(make_tasks("Grace", "stranger"), fpir=fpir)
            assert [face.person_id is not None for result in results for face in result.faces] == named


def test_a_refused_face_still_says_who_is_nearest(recogniser: Recogniser) -> None:
    (face,) = recogniser.recognise(make_tasks("stranger"))[0].faces
    assert face.outcome is FaceOutcome.UNKNOWN
    assert face.person_id is None
    assert face.candidate_id in {101, 102, 103, 104}
    assert face.similarity is not None


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 41])
def test_every_photo_has_one_outcome_in_the_order_of_the_tasks(recogniser: Recogniser, count: int) -> None:
    uris = list(PHOTOS)
    tasks = make_tasks(*(uris[(3 * i) % len(uris)] for i in range(count)))
    results = recogniser.recognise(tasks)
    assert [(r.ordinal, r.uri) for r in results] == [(t.ordinal, t.uri) for t in tasks]
    assert outcomes(results) == [expected(task.uri) for task in tasks]
    for result in results:
        assert (result.error is not None) == (result.outcome is ItemOutcome.ERROR) == (not result.faces)


def test_the_sha256_and_size_of_a_photo_are_recorded(recogniser: Recogniser) -> None:
    ada, broken, missing = recogniser.recognise(make_tasks("Ada", "broken", "missing"))
    assert ada.sha256 == hashlib.sha256(PHOTOS["Ada"]).hexdigest()  # type: ignore[arg-type]
    assert (ada.width_px, ada.height_px) == (48, 48)
    assert broken.sha256 is not None and broken.width_px is None
    assert missing.sha256 is None


def test_a_photo_that_hangs_is_given_up_and_the_rest_goes_on(reader: FakeReader, engine: Engine) -> None:
    gate = threading.Event()
    reader.photos["hangs"] = lambda: gate.wait() and b""
    recogniser = Recogniser(reader, engine, DecodeLimits(timeout_s=1.0), read_threads=2)
    uris = ["Ada", "hangs", "Grace", "hangs", "Edsger", "Barbara", "Ada"]
    results = recogniser.recognise(make_tasks(*uris))
    assert outcomes(results) == ["photo_too_slow" if uri == "hangs" else expected(uri) for uri in uris]
    assert results[1].error is not None and "longer than 1 s" in results[1].error.message
    assert recogniser.stuck_threads == 2
    gate.set()
    assert outcomes(recogniser.recognise(make_tasks("Ada"))) == ["identified 101"]
    assert until(lambda: recogniser.stuck_threads == 0)
    recogniser.close()


def test_a_fifo_among_the_photos_blocks_no_one(tmp_path: Path, engine: Engine) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "ada.png").write_bytes(make_photo(0))
    recogniser = Recogniser(PhotoReader(), engine, DecodeLimits(timeout_s=5.0), read_threads=1)
    results = recogniser.recognise(make_tasks(str(tmp_path / "pipe.jpg"), str(tmp_path / "ada.png")))
    assert results[0].outcome is ItemOutcome.ERROR
    assert outcomes(results)[1] == "identified 101"
    recogniser.close()


def test_progress_is_told_after_every_batch(recogniser: Recogniser) -> None:
    told: list[int] = []
    recogniser.recognise(make_tasks(*["Ada"] * 10), told.append)
    assert told == [4, 8, 10]


def test_progress_is_told_while_a_photo_is_slow(reader: FakeReader, engine: Engine) -> None:
    gate, told = threading.Event(), []
    reader.photos["slow"] = lambda: gate.wait() and make_photo(0)

    def on_progress(done: int) -> None:
        told.append(done)
        gate.set()

    recogniser = Recogniser(reader, engine, DecodeLimits(timeout_s=30), read_threads=1)
    assert outcomes(recogniser.recognise(make_tasks("slow"), on_progress)) == ["identified 101"]
    assert told == [0, 1]
    recogniser.close()


def test_a_lost_lease_ends_the_call_and_the_recogniser_goes_on(recogniser: Recogniser) -> None:
    def lose(done: int) -> None:
        raise LeaseLostError(f"after {done}")

    with pytest.raises(LeaseLostError, match="after 4"):
        recogniser.recognise(make_tasks(*["Ada"] * 40), lose)
    assert outcomes(recogniser.recognise(make_tasks("Grace", "Ada"))) == ["identified 102", "identified 101"]


def test_an_engine_that_fails_is_no_photos_fault(reader: FakeReader, engine: Engine) -> None:
    recogniser = Recogniser(reader, FakeEngine(fail=True), DecodeLimits(), read_threads=2)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="device lost"):
        recogniser.recognise(make_tasks("Ada", "Grace"))
    recogniser.use_engine(engine)
    assert outcomes(recogniser.recognise(make_tasks("Ada", "Grace"))) == ["identified 101", "identified 102"]
    recogniser.close()


@pytest.mark.parametrize("full", [torch.OutOfMemoryError, MemoryError])
def test_a_batch_that_finds_no_memory_is_halved_for_this_batch_alone(reader: FakeReader, full: type[Exception]) -> None:
    engine = FakeEngine(most=2, full=full)
    names = ["Ada", "Grace", "Ada", "Grace", "Grace", "Ada"]
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=1, may_halve=is_out_of_memory)  # type: ignore[arg-type]
    assert outcomes(recogniser.recognise(make_tasks(*names))) == [expected(name) for name in names]
    assert engine.sizes == [4, 2, 2, 2]
    engine.most = 4
    recogniser.recognise(make_tasks(*names[:4]))
    assert engine.sizes[4:] == [4]
    recogniser.close()


def test_a_batch_whose_half_finds_no_memory_either_is_given_up(reader: FakeReader) -> None:
    engine = FakeEngine(most=1)
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=1, may_halve=is_out_of_memory)  # type: ignore[arg-type]
    with pytest.raises(torch.OutOfMemoryError):
        recogniser.recognise(make_tasks(*["Ada"] * 4))
    assert engine.sizes == [4, 2]
    recogniser.close()


def test_a_photo_that_the_model_has_no_number_for_is_an_error_not_unknown(reader: FakeReader) -> None:
    engine = FakeEngine(nan_rows={1})
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=1)  # type: ignore[arg-type]
    results = recogniser.recognise(make_tasks("Ada", "Grace", "Edsger"))
    assert outcomes(results) == ["identified 101", "model_error", "identified 103"]
    assert results[1].faces == ()
    recogniser.close()


def test_the_next_photos_are_read_while_a_batch_computes(reader: FakeReader) -> None:
    engine = FakeEngine()
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=1)  # type: ignore[arg-type]
    engine.during = lambda: until(lambda: reader.count >= 8)
    recogniser.recognise(make_tasks(*["Ada"] * 8))
    assert engine.during_answers == [True, True]
    recogniser.close()


def test_reading_runs_a_bounded_way_ahead(reader: FakeReader) -> None:
    engine = FakeEngine()
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=3)  # type: ignore[arg-type]
    counts: list[int] = []
    engine.during = lambda: counts.append(reader.count) is None
    recogniser.recognise(make_tasks(*["Ada"] * 100))
    batch = engine.batch_size
    assert all(count <= (done + 1) * batch + 2 * batch for done, count in enumerate(counts))
    recogniser.close()


def test_crops_reach_the_network_in_batches_as_rgb(reader: FakeReader) -> None:
    engine = FakeEngine()
    recogniser = Recogniser(reader, engine, DecodeLimits(), read_threads=2)  # type: ignore[arg-type]
    recogniser.recognise(make_tasks(*["Ada", "broken", "Grace", "text"] * 5))
    assert engine.sizes == [4, 4, 2]  # errors leave no holes in a batch
    recogniser.close()


def test_another_model_serves_from_the_next_call_on(recogniser: Recogniser, tmp_path: Path, engine: Engine) -> None:
    store = ModelStore(tmp_path)
    sha256 = make_artifact(store, make_classes(*NAMES), input_size_px=24, rule=make_rule(threshold=2.0))
    assert outcomes(recogniser.recognise(make_tasks("Ada"))) == ["identified 101"]
    recogniser.use_engine(load_engine(store.path(sha256), sha256, "cpu", batch_size=2))
    assert outcomes(recogniser.recognise(make_tasks("Ada", "Grace", "Edsger"))) == ["unknown None"] * 3
    recogniser.use_engine(engine)
    assert outcomes(recogniser.recognise(make_tasks("Ada"))) == ["identified 101"]


def test_faces_in_photographs_are_not_looked_for(recogniser: Recogniser) -> None:
    with pytest.raises(InputError, match="--faces crop"):
        recogniser.recognise(make_tasks("Ada"), faces=FacesMode.DETECT)


def test_real_and_hostile_photos_end_in_one_outcome_each(test_data: Path, engine: Engine) -> None:
    uris = [str(p) for p in sorted((test_data / "data/corrupt/pillow").rglob("*")) if p.is_file()][::7]
    uris += [str(p) for p in sorted((test_data / "data/orl").rglob("*.pgm"))][::40]
    recogniser = Recogniser(PhotoReader(), engine, DecodeLimits(), read_threads=2)
    results = recogniser.recognise(make_tasks(*uris))
    assert [result.uri for result in results] == uris
    assert {result.error.code for result in results if result.error} & {"photo_broken", "not_a_photo"}
    assert "internal_error" not in {result.error.code for result in results if result.error}
    assert all(result.outcome is ItemOutcome.FACES for result in results[-10:])
    recogniser.close()


def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> bool:
    """Wait until a condition holds; say whether it did before the deadline."""
    waiting, end = threading.Event(), time.monotonic() + deadline_s
    while not condition() and time.monotonic() < end:
        waiting.wait(0.005)
    return condition()


class FakeEngine:
    """An engine that fails, gives NaN, or looks around while it runs."""

    batch_size = 4
    detector = None

    def __init__(
        self,
        *,
        fail: bool = False,
        nan_rows: set[int] = frozenset(),  # type: ignore[assignment]
        most: int = 10_000,
        full: type[Exception] = torch.OutOfMemoryError,
    ) -> None:
        self.most = most
        self.full = full
        self.manifest = make_manifest(make_classes(*NAMES))
        self.network = make_network(len(NAMES))
        self.gallery = self.network.gallery.numpy()
        self.fail = fail
        self.nan_rows = nan_rows
        self.during: Callable[[], bool] = lambda: True
        self.during_answers: list[bool] = []
        self.sizes: list[int] = []

    def run(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.fail:
            raise RuntimeError("device lost")
        self.during_answers.append(self.during())
        self.sizes.append(len(crops))
        if len(crops) > self.most:
            raise self.full(f"no room for {len(crops)}")
        embeddings, logits = (part.numpy() for part in self.network(torch.from_numpy(crops)))
        embeddings[list(self.nan_rows)] = np.nan
        return embeddings, logits
