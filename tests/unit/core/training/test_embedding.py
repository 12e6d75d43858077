"""Labelled photos are read and embedded once: what an earlier run saw is taken, bit for bit, and nothing else is."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.errors import FaceTooPoorError, NoFaceError, PhotoBrokenError, PhotoMissingError, SeveralFacesError
from core.records import Example, LearnedFace
from core.training.embedding import RunEmbedder, embed_photos
from core.training.prototypes import Embeddings
from core.training.request import SkippedPhoto, TrainedNetwork
from tests.unit.core.training.learning import draw_crop, example, make_request
from tests.unit.core.training.test_head import tiny_embedder, train


class DictCache:
    """Keeps faces by photo and box."""

    def __init__(self) -> None:
        self.faces: dict[tuple[str | None, object], LearnedFace] = {}
        self.adds: list[int] = []

    def find(self, examples: Sequence[Example]) -> list[LearnedFace | None]:
        return [self.faces.get((each.sha256, each.box_xyxy_px)) if each.sha256 else None for each in examples]

    def add(self, faces: Sequence[tuple[Example, LearnedFace]]) -> None:
        self.adds.append(len(faces))
        self.faces |= {(each.sha256, each.box_xyxy_px): face for each, face in faces if each.sha256}


class CountingReader:
    """Draws photos, and notes which; those of number 90 and above have no face, or cannot be read."""

    ERRORS = (NoFaceError, FaceTooPoorError, SeveralFacesError, PhotoBrokenError, PhotoMissingError)

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, example: Example) -> NDArray[np.uint8]:
        self.read.append(example.uri)
        person, photo = (int(part) for part in example.uri.removeprefix("drawn:").split("/"))
        if photo >= 90:
            raise self.ERRORS[photo - 90](f"{self.ERRORS[photo - 90].code} of {example.uri}")
        return draw_crop(person, photo, 64)


class NeverCompiled(RunEmbedder):
    """Fails when a photo is embedded."""

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        raise AssertionError(f"{len(crops)} photos were embedded")


def known(person: int, photo: int, class_index: int | None = None) -> Example:
    """A photo whose bytes are known."""
    drawn = example(person, photo, class_index)
    return dataclasses.replace(drawn, sha256=hashlib.sha256(drawn.uri.encode()).hexdigest())


def embed(
    examples: Sequence[Example], cache: DictCache, kind: type[RunEmbedder] = RunEmbedder
) -> tuple[Embeddings, tuple[SkippedPhoto, ...], list[str]]:
    reader, request = CountingReader(), make_request([1], read_threads=1)
    embedder = kind(tiny_embedder(), torch.device("cpu"))
    return *embed_photos(examples, embedder, request, reader, lambda: False, cache), sorted(reader.read)


def test_a_second_look_reads_and_embeds_nothing_and_gives_the_same_bits() -> None:
    examples = [known(person, photo) for photo in (0, 1, 90, 2) for person in range(3)]
    cache = DictCache()
    first, first_skipped, read = embed(examples, cache)
    assert len(read) == 12
    again, skipped, read = embed(examples, cache, NeverCompiled)
    assert read == []
    assert torch.equal(first.vectors, again.vectors)
    assert first.labels.tolist() == again.labels.tolist() == [0, 1, 2] * 3
    assert skipped == first_skipped
    assert [photo.uri for photo in skipped] == [f"drawn:{person}/90" for person in range(3)]


def test_what_is_new_is_embedded_and_stands_at_its_place() -> None:
    cache = DictCache()
    embed([known(1, 0), known(3, 0)], cache)
    examples = [known(0, 0), known(1, 0), known(2, 91), known(3, 0), known(4, 0)]
    mixed, skipped, read = embed(examples, cache)
    assert read == ["drawn:0/0", "drawn:2/91", "drawn:4/0"]
    alone, *_ = embed(examples, DictCache())
    assert torch.equal(mixed.vectors, alone.vectors)
    assert mixed.labels.tolist() == [0, 1, 3, 4]
    assert [photo.code for photo in skipped] == ["face_too_poor"]


def test_another_box_of_the_same_photo_is_looked_at() -> None:
    cache = DictCache()
    embed([known(1, 0)], cache)
    boxed = dataclasses.replace(known(1, 0), box_xyxy_px=(0.0, 0.0, 9.0, 9.0))
    *_, read = embed([boxed], cache)
    assert read == ["drawn:1/0"]


def test_only_errors_that_lie_in_the_photo_are_remembered() -> None:
    cache, examples = DictCache(), [known(0, photo) for photo in range(90, 95)]
    _, first, _ = embed(examples, cache)
    _, again, read = embed(examples, cache)
    assert read == ["drawn:0/93", "drawn:0/94"]
    assert [photo.code for photo in again] == [error.code for error in CountingReader.ERRORS]
    assert again == first


def test_a_photo_of_unknown_bytes_is_read_each_time() -> None:
    cache = DictCache()
    for _ in range(2):
        *_, read = embed([example(0, 0)], cache)
        assert read == ["drawn:0/0"]


def test_photos_are_kept_page_by_page_so_that_a_run_that_dies_loses_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.embedding._PAGE", 4)
    cache = DictCache()
    embed([known(0, photo) for photo in range(10)], cache)
    assert cache.adds == [4, 4, 2]


def weights(trained: TrainedNetwork) -> bytes:
    return b"".join(value.numpy().tobytes() for value in trained.network.state_dict().values())


def test_a_second_run_gives_the_same_weights_without_reading_a_photo() -> None:
    people = range(4)
    request = make_request(
        [3] * 4,
        train=tuple(known(person, photo) for person in people for photo in (0, 1, 2, 90)),
        test=tuple(known(person, 50) for person in people),
        epochs=3,
    )
    cache, readers = DictCache(), [CountingReader() for _ in range(3)]
    first, again = (train(request, load_crop=reader, cache=cache) for reader in readers[:2])
    without = train(request, load_crop=readers[2])
    assert [len(reader.read) for reader in readers] == [20, 0, 20]
    assert weights(first) == weights(again) == weights(without)
    assert first.rule == again.rule == without.rule
    assert first.metrics == again.metrics == without.metrics
    assert first.skipped == again.skipped == without.skipped
