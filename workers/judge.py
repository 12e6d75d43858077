"""Judging a new model against the one that serves: brings both before the gate of core/training/gate.py.

The new one was asked about the test photos when it was trained. The active one is asked as it serves; where both see
faces through the same weights, it decides about the very embeddings.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ModelError
from core.records import Example
from core.settings import Settings
from db import registry
from db.engine import Database
from db.ids import model_version
from db.merges import load_merges
from db.tables import Model
from workers.retry import retry_database
from workers.snapshot import Snapshot

if TYPE_CHECKING:
    from core.models.engine import Engine
    from core.models.manifest import Manifest
    from core.models.members import GalleryFile
    from core.training.answers import Answers, Asked, Knowledge
    from core.training.gate import Contender
    from core.training.request import TrainedNetwork

_log = logging.getLogger(__name__)

_BATCH = 32
_SAME_CROPS = ("backbone_sha256", "faces", "template", "input_size_px", "detector_sha256", "decode")
"""What makes two models see the same in a face."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the gate decided, and against which generation."""

    passed: bool
    reason: str
    """In sentences."""
    generation: int
    """The activation that was compared with; 0 when none was."""
    document: dict[str, Any]
    """All figures, as JSON values."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What judging needs."""

    trained: "TrainedNetwork"
    manifest: "Manifest"
    """Of its artifact."""
    snapshot: Snapshot
    """What it was trained and tested on."""
    tolerance: float
    database: Database
    settings: Settings
    device: str
    threads: int
    should_stop: Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class _Active:
    """The model that serves."""

    model: Model
    generation: int


def judge(judging: Judging) -> Judgement:
    """Compare a new model with the one that serves now.

    Raises:
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: test photos lie in a place that did not answer.
        ArtifactsUnreachableError: the model store did not answer.
        DatabaseUnreachableError: the ledger did not answer.
    """
    from core.training.gate import Verdict, compare
    from core.training.gate_words import explain

    active, counts_as = retry_database(lambda: _read(judging.database))
    if active is None:
        verdict, against = Verdict(passed=True, tolerance=judging.tolerance), None
    else:
        new, old = _candidate(judging, counts_as), _active(judging, active.model, counts_as)
        truth = [_shown(judging.snapshot, example, counts_as) for example in judging.snapshot.test]
        lost = [
            person.name
            for person in judging.snapshot.classes
            if _counted(person.person_id, counts_as) in old.people - new.people
        ]
        import numpy as np

        verdict = compare(new, old, np.array(truth, np.int64), lost, tolerance=judging.tolerance)
        against = model_version(active.model.id)
    reason = explain(verdict, against)
    generation = active.generation if active else 0
    _log.info("the gate %s: %s", "passed" if verdict.passed else "refused", reason)
    document = {**verdict.to_json(), "reason": reason, "against": against, "generation": generation}
    return Judgement(passed=verdict.passed, reason=reason, generation=generation, document=document)


def _read(database: Database) -> tuple[_Active | None, dict[int, int]]:
    """Return the model that serves, and whom merged people count as."""
    with database.read() as session:
        merges = load_merges(session)
        serving = registry.serving_model(session)
        if serving is None:
            return None, merges
        return _Active(model=session.get_one(Model, serving.model_id), generation=serving.generation), merges


def _counted(person_id: int, counts_as: Mapping[int, int]) -> int:
    return counts_as.get(person_id, person_id)


def _shown(snapshot: Snapshot, example: Example, counts_as: Mapping[int, int]) -> int:
    """Return whom a test photo shows."""
    from core.training.answers import NOBODY

    if example.class_index >= 0:
        return _counted(snapshot.classes[example.class_index].person_id, counts_as)
    return NOBODY if example.shows is None else _counted(example.shows, counts_as)


def _candidate(judging: Judging, counts_as: Mapping[int, int]) -> "Contender":
    """Return the new model, with what it answered when it was trained."""
    from core.training.answers import answer
    from core.training.gate import Contender

    trained, photos = judging.trained, judging.snapshot.test
    people = [_counted(person.person_id, counts_as) for person in trained.classes]
    asked = _asked_in_training(trained, photos)
    knowledge = _knowledge(trained.gallery.numpy(), people, trained.rule)
    return Contender(
        people=frozenset(people),
        fpir_target=trained.rule.fpir_target,
        backbone_sha256=judging.manifest.backbone_sha256,
        rehearsal=(trained.metrics.get("rehearsal") or {}).get("scorecard"),
        answers=None if asked is None else answer(asked, knowledge, len(photos)),
    )


def _asked_in_training(trained: "TrainedNetwork", photos: Sequence[Example]) -> "Asked | None":
    from core.training.answers import Asked

    tested = trained.tested
    if tested is None:
        return None
    codes = {photo.uri: photo.code for photo in trained.skipped}
    left_out = {place: codes[photo.uri] for place, photo in enumerate(photos) if photo.uri in codes}
    for place in tested.places.tolist():
        left_out.pop(place, None)  # another face of the same photo was left out
    return Asked(places=tested.places, embeddings=tested.embeddings, logits=tested.logits, codes=left_out)


def _active(judging: Judging, model: Model, counts_as: Mapping[int, int]) -> "Contender":
    """Return the model that serves, with its answers to the same photos."""
    from core.training.gate import Contender

    manifest = model.manifest
    people = frozenset(_counted(person["person_id"], counts_as) for person in manifest.get("classes", ()))
    return Contender(
        people=people,
        fpir_target=manifest["rule"]["fpir_target"],
        backbone_sha256=manifest.get("backbone_sha256"),
        rehearsal=(manifest.get("metrics", {}).get("rehearsal") or {}).get("scorecard"),
        answers=_ask_active(judging, model, counts_as),
    )


def _ask_active(judging: Judging, model: Model, counts_as: Mapping[int, int]) -> "Answers | None":
    """Return what the active model says of the test photos; None without any, or where it cannot be run here."""
    from core.models.members import open_gallery
    from core.models.store import ModelStore
    from core.training.answers import answer

    if judging.trained.tested is None:
        return None
    store = ModelStore.from_settings(judging.settings)
    try:
        store.verify(model.sha256)
        path = store.path(model.sha256)
        found = open_gallery(path)
        asked = _decided_anew(judging, found) or _asked_here(judging, model)
    except ModelError as error:
        _log.warning("%s could not be asked: %s", model_version(model.id), error)
        return None
    people = [_counted(person.person_id, counts_as) for person in found.manifest.classes]
    return answer(asked, _knowledge(found.gallery, people, found.manifest.rule), len(judging.snapshot.test))


def _decided_anew(judging: Judging, active: "GalleryFile") -> "Asked | None":
    """Return what the active model answers to the embeddings that the new one made; None where it sees others."""
    from core.training.answers import Asked

    mine, its = judging.manifest, active.manifest
    asked = _asked_in_training(judging.trained, judging.snapshot.test)
    same = all(getattr(mine, name) == getattr(its, name) for name in _SAME_CROPS)
    if asked is None or not same or mine.backbone_sha256 is None:
        return None
    logits = asked.embeddings @ active.gallery.T
    return Asked(places=asked.places, embeddings=asked.embeddings, logits=logits, codes=asked.codes)


def _asked_here(judging: Judging, model: Model) -> "Asked":
    """Load the active model and ask it about the test photos as it takes them."""
    from core.models.engine import load_engine
    from core.models.store import ModelStore
    from core.training.answers import ask_engine

    path = ModelStore.from_settings(judging.settings).path(model.sha256)
    engine = load_engine(
        path, model.sha256, judging.device, batch_size=_BATCH, threads=judging.threads, tuning_budget_s=0.0
    )
    try:
        return ask_engine(
            engine,
            judging.snapshot.test,
            _crop_reader(judging.settings, engine),
            read_threads=judging.settings.read_threads,
            should_stop=judging.should_stop,
        )
    finally:
        engine.close()


def _crop_reader(settings: Settings, engine: "Engine") -> Any:
    from core.images.decode import DecodeLimits
    from core.images.read import PhotoReader
    from core.reading import CropReader
    from core.recognise import face_source

    return CropReader(PhotoReader.from_settings(settings), face_source(engine, DecodeLimits.from_settings(settings)))


def _knowledge(gallery: Any, people: Sequence[int], rule: Any) -> "Knowledge":
    import numpy as np

    from core.training.answers import Knowledge

    return Knowledge(gallery=gallery, people=np.array(people, np.int64), rule=rule)
