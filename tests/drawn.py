"""Drawn people for tests of whole models: crops of their faces, a network that learned them, and many looks at them."""

import dataclasses
import itertools
import random
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.faces.match import decide
from core.faces.rule import RejectRule
from core.images.drawn_people import DrawnPerson, draw_people
from core.images.drawn_photo import take_photo
from core.models.engine import Engine
from core.models.export import write_artifact
from core.models.store import ModelStore
from core.nets.servable import Servable
from core.records import FaceOutcome
from core.training.dataset import CropSet
from core.training.loop import new_learner
from core.training.recipes import COMPACT
from core.training.rehearsal import gallery_of
from tests.factories import make_classes, make_manifest, make_rule
from tests.unit.core.training.learning import train_one_epoch

KNOWN, STRANGERS = 6, 6
_LEARNED, _SEEN = 6, 8
"""Photos of each person that are learned from, and others that are looked at."""
_STEPS = 40
_SHADES, _SHIFTS = (-6, -2, 2, 6), ((0, 0), (0, 1), (1, 0))


@lru_cache(maxsize=1)
def _people() -> list[DrawnPerson]:
    return draw_people(KNOWN + STRANGERS, random.Random(3))


def draw_face(person: int, photo: str, size_px: int = 64) -> NDArray[np.uint8]:
    """Draw a photo of a person, uint8 [S, S, 3] RGB."""
    return np.asarray(take_photo(_people()[person], size_px, random.Random(f"{person}/{photo}")), np.uint8)


def _crops(what: str, photos: int, people: range) -> CropSet:
    drawn = [draw_face(person, f"{what} {photo}") for person in people for photo in range(photos)]
    crops = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()
    return CropSet(crops=crops, labels=torch.arange(len(people)).repeat_interleave(photos))


def train_drawn(folder: Path, device: str = "cpu") -> tuple[ModelStore, str]:
    """Teach the compact network some drawn people, quickly; return the store that holds the model, and its sha256."""
    torch.manual_seed(0)
    recipe = dataclasses.replace(COMPACT, epochs=1, fewest_steps=_STEPS, enough_steps=_STEPS)
    learned = _crops("learned", _LEARNED, range(KNOWN))
    learner = new_learner(recipe, learned, epochs=1, seed=0, device=torch.device(device))
    train_one_epoch(learner)
    network = learner.network.cpu()
    gallery = gallery_of(dataclasses.replace(learner, device=torch.device("cpu")))
    network.keep_classes(KNOWN)
    servable = Servable(network).eval()
    manifest = make_manifest(
        make_classes(*(f"P{person}" for person in range(KNOWN))),
        input_size_px=64,
        embedding_dim=servable.embedding_dim,
    )
    write_artifact(servable, gallery.numpy(), manifest, folder / "staged.pt")
    store = ModelStore(folder / "store")
    return store, store.put(folder / "staged.pt")


@lru_cache(maxsize=1)
def many_looks() -> NDArray[np.uint8]:
    """Return looks at known people and at strangers, a little lighter, darker or moved: uint8 [N, 3, 64, 64]."""
    faces = _crops("seen", _SEEN, range(KNOWN + STRANGERS)).crops.permute(0, 2, 3, 1).numpy()
    looks = [
        np.roll((face.astype(np.int16) + shade).clip(0, 255).astype(np.uint8), shift, axis=(0, 1))
        for face, shade, shift in itertools.product(faces, _SHADES, _SHIFTS)
    ]
    return np.stack(looks).transpose(0, 3, 1, 2)


def rule_off_the_edge(engine: Engine, crops: NDArray[np.uint8]) -> RejectRule:
    """Return a rule on whose edge no crop lies, so that what is decided otherwise elsewhere was computed otherwise.

    How many faces lie on the edge is a matter of the faces: with thresholds chosen on other photos, up to 1 % of such
    looks were decided otherwise in bfloat16 than in float32, and up to 0.3 % in float16 (compact, on a CPU).
    """
    embeddings, _ = engine.run(crops)
    similarities = np.sort((embeddings @ engine.gallery.T).max(axis=1))
    middle = similarities[len(similarities) // 4 : -len(similarities) // 4]
    widest = int(np.diff(middle).argmax())
    return make_rule(threshold=float(middle[widest : widest + 2].mean()), margin=0.0)


def decisions(engine: Engine, crops: NDArray[np.uint8], rule: RejectRule) -> list[tuple[FaceOutcome, int | None]]:
    """Return the outcome of each crop, and who is named."""
    embeddings, logits = engine.run(crops)
    matches = decide(embeddings, logits, engine.gallery, rule)
    return [(match.outcome, match.candidate if match.outcome is FaceOutcome.IDENTIFIED else None) for match in matches]
