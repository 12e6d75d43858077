"""Which runs see photos in the same way: those whose backbone, detector, crops and machine are the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.faces.lengths import SAYS_NOTHING
from core.models.export import Origin
from core.records import FacesMode
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER, WeightsSpec
from core.weights.store import WeightsStore
from workers import preparation
from workers.preparation import prepare_training

TEMPLATE = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.3, 0.8), (0.7, 0.8))
ORIGIN = Origin(faces=FacesMode.DETECT, template=TEMPLATE, detector=b"detector")


@pytest.fixture
def backbone(tmp_path: Path) -> WeightsSpec:
    return WeightsStore.from_settings(Settings(home=tmp_path)).get_spec(DEFAULT_EMBEDDER)


def digest(backbone: WeightsSpec, origin: Origin = ORIGIN, size_px: int = 128, device: str = "cpu") -> str:
    return preparation._digest_way(backbone, origin, size_px, device)


def test_each_thing_that_decides_what_a_photo_is_makes_another_way(backbone: WeightsSpec) -> None:
    file, *others = backbone.files
    assert backbone.embedder is not None
    ways = [
        digest(backbone),
        digest(replace(backbone, files=(replace(file, sha256="0" * 64), *others))),
        digest(replace(backbone, embedder=replace(backbone.embedder, mean=(1.0, 1.0, 1.0)))),
        digest(replace(backbone, embedder=replace(backbone.embedder, length=SAYS_NOTHING))),
        digest(backbone, replace(ORIGIN, faces=FacesMode.CROP)),
        digest(backbone, replace(ORIGIN, template=(*TEMPLATE[:4], (0.7, 0.81)))),
        digest(backbone, replace(ORIGIN, detector=b"another")),
        digest(backbone, size_px=112),
        digest(backbone, device="cuda:0"),
    ]
    assert len(set(ways)) == len(ways)


def test_code_that_sees_otherwise_makes_another_way(backbone: WeightsSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(backbone)
    monkeypatch.setattr(preparation, "_SEEING", preparation._SEEING + 1)
    assert digest(backbone) != before


def test_what_decides_nothing_of_it_makes_none(backbone: WeightsSpec) -> None:
    assert backbone.embedder is not None
    renamed = replace(backbone, licence="MIT", embedder=replace(backbone.embedder, scores=None))
    assert digest(renamed, replace(ORIGIN, licence="MIT"), device="cuda:1") == digest(backbone, device="cuda:0")


def test_only_a_backbone_that_stays_as_it_is_has_a_way(tmp_path: Path, test_data: Path) -> None:
    settings = Settings(home=tmp_path, weights=str(test_data / "weights"))
    ways = [
        prepare_training(
            recipe, {"backbone": DEFAULT_EMBEDDER, "faces": "detect"}, settings, device="cpu", threads=1
        ).way
        for recipe in ("head", "head", "finetune", "compact")
    ]
    assert ways[0] is not None
    assert ways[0] == ways[1]
    assert ways[2:] == [None, None]
