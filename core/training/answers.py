"""What one model says of photos whose people are known, in people instead of classes: two models can then be compared.

Decides as core.faces.match does. A person who was merged into another counts as that one, as when a model serves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import FaceTooPoorError, NoFaceError
from core.faces.match import candidates, confidences, similarities_to
from core.faces.rescore import OUTCOMES, outcomes_under
from core.faces.rule import RejectRule
from core.records import Example, FaceOutcome
from core.training.dataset import load_crops, numbered
from core.training.request import LoadCrop
from core.training.scorecard import NO_GROUP, ScoredPhotos

if TYPE_CHECKING:
    from core.models.engine import Engine

NOBODY = -1
_MISSES = {NoFaceError.code, FaceTooPoorError.code}
"""Photos that show nothing to ask about count as not right; of others that cannot be used, nothing is known."""
_PAGE = 256  # photos in memory at once
_BLOCK_LOGITS = 8_000_000  # photos times people: 32 MB


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """Whom a model knows, and when it names them."""

    gallery: NDArray[np.float32]
    """[C, D], one row a person."""
    people: NDArray[np.int64]
    """[C] whom each class counts as; several may count as one."""
    rule: RejectRule


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What a network answered to some of N photos."""

    places: NDArray[np.int64]
    """[T] which of the photos."""
    embeddings: NDArray[np.float32]
    """[T, D], as long as core.faces.lengths says."""
    logits: NDArray[np.float32]
    """[T, C]"""
    codes: dict[int, str]
    """Of photos that the network was not asked about, why, by place."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a model says of N photos, one row a photo."""

    usable: NDArray[np.bool_]
    """[N] whether it says anything: false for photos that could not be read."""
    found: NDArray[np.bool_]
    """[N] whether there was a face to ask about."""
    nearest: NDArray[np.int64]
    """[N] the person's id; NOBODY without a face, or a finite answer."""
    named: NDArray[np.bool_]
    """[N] whether the rule gives the name."""
    similarity: NDArray[np.float64]
    """[N] to the nearest person; -inf without one."""
    confidence: NDArray[np.float64]
    """[N] stated for the nearest person, 0..1; NaN without one."""

    def right(self, truth: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the nearest person is whom the photo shows (int64 [N], NOBODY for a stranger)."""
        return np.asarray((self.nearest == truth) & (truth != NOBODY))

    def score(self, truth: NDArray[np.int64], rows: NDArray[np.bool_]) -> ScoredPhotos:
        """Return the rows that a scorecard takes: of some photos (bool [N]), whose people are `truth` (int64 [N]).

        Of strangers whose person is not known, each is somebody else.
        """
        nobody = truth == NOBODY
        whose = np.where(nobody, truth.max(initial=0) + 1 + np.arange(len(truth)), truth)[rows]
        return ScoredPhotos(
            person=np.unique(whose, return_inverse=True)[1],
            found=self.found[rows],
            similarity=self.similarity[rows],
            right=self.right(truth)[rows],
            named=self.named[rows],
            confidence=self.confidence[rows],
            group=np.full(int(rows.sum()), NO_GROUP),
        )


def answer(asked: Asked, knowledge: Knowledge, count: int) -> Answers:
    """Decide about photos.

    Args:
        asked: what the network answered.
        knowledge: what decides about it.
        count: N, how many photos there are.
    """
    usable, found, named = np.zeros(count, bool), np.zeros(count, bool), np.zeros(count, bool)
    nearest = np.full(count, NOBODY, np.int64)
    similarity, confidence = np.full(count, -np.inf), np.full(count, np.nan)
    usable[[place for place, code in asked.codes.items() if code in _MISSES]] = True
    finite = np.isfinite(asked.embeddings).all(axis=1) & np.isfinite(asked.logits).all(axis=1)
    usable[asked.places] = found[asked.places] = True
    size = max(1, _BLOCK_LOGITS // max(1, len(knowledge.people)))
    rows = np.flatnonzero(finite)
    for block in (rows[start : start + size] for start in range(0, len(rows), size)):
        at = asked.places[block]
        nearest[at], similarity[at], named[at], confidence[at] = _decide(
            asked.embeddings[block], asked.logits[block], knowledge
        )
    return Answers(
        usable=usable, found=found, nearest=nearest, named=named, similarity=similarity, confidence=confidence
    )


def ask_engine(
    engine: "Engine",
    examples: Sequence[Example],
    load_crop: LoadCrop,
    *,
    read_threads: int,
    should_stop: Callable[[], bool],
) -> Asked:
    """Ask a model that is loaded about photos, page by page.

    Args:
        engine: the model.
        examples: the photos.
        load_crop: reads one as the model wants it; called from `read_threads` threads.
        read_threads: photos read at once.
        should_stop: asked between pages.

    Raises:
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
    """
    places: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    embeddings = [np.empty((0, engine.manifest.embedding_dim), np.float32)]
    logits = [np.empty((0, len(engine.manifest.classes)), np.float32)]
    codes: dict[int, str] = {}
    everything = numbered(examples)
    for start in range(0, len(everything), _PAGE):
        part = everything[start : start + _PAGE]
        crops, skipped = load_crops(
            part, load_crop, engine.manifest.input_size_px, read_threads=read_threads, should_stop=should_stop
        )
        read = crops.labels.numpy()
        missing = np.setdiff1d(np.arange(start, start + len(part)), read)
        codes |= {int(place): photo.code for place, photo in zip(missing, skipped, strict=True)}
        answered = engine.run(crops.crops)
        places.append(read)
        embeddings.append(answered[0])
        logits.append(answered[1])
    return Asked(
        places=np.concatenate(places),
        embeddings=np.concatenate(embeddings),
        logits=np.concatenate(logits),
        codes=codes,
    )


def _decide(
    embeddings: NDArray[np.float32], logits: NDArray[np.float32], knowledge: Knowledge
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Return the nearest person, the similarity, whether they are named, and the confidence, one row a photo."""
    people, classes = np.unique(knowledge.people, return_inverse=True)
    if len(people) == len(knowledge.people):
        candidate, similarity, runner_up = candidates(embeddings, logits, knowledge.gallery)
    else:
        candidate, similarity, runner_up = _merged(embeddings, logits, knowledge.gallery, classes)
    outcomes = outcomes_under(knowledge.rule, similarity, runner_up)
    named = outcomes == OUTCOMES.index(FaceOutcome.IDENTIFIED)
    stated = confidences(similarity, similarity - runner_up, knowledge.rule.calibration)
    return knowledge.people[candidate], similarity, named, stated


def _merged(
    embeddings: NDArray[np.float32],
    logits: NDArray[np.float32],
    gallery: NDArray[np.float32],
    person: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Score as `candidates` does where several classes are one person ([C]): they are no rivals of each other."""
    similarities = similarities_to(embeddings, gallery)
    candidate = logits.argmax(axis=1)
    rows = np.arange(len(embeddings))
    similarity = similarities[rows, candidate]
    others = np.where(person[None, :] == person[candidate][:, None], -1.0, similarities)
    return candidate, similarity, others.max(axis=1).astype(np.float32)
