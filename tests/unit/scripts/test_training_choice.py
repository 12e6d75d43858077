"""What is trained when little is said: the best that the weights on this machine allow."""

from pathlib import Path

import pytest

from core.errors import InputError, UnknownWeightsError
from core.records import FacesMode
from core.weights.spec import DEFAULT_EMBEDDER, DETECTOR
from core.weights.store import WeightsStore
from scripts.training_choice import choose_training, faces_can_be_found

CROP, DETECT = FacesMode.CROP, FacesMode.DETECT


@pytest.fixture
def bare(tmp_path: Path) -> WeightsStore:
    return WeightsStore(own=tmp_path)


@pytest.fixture
def full(bare: WeightsStore) -> WeightsStore:
    """A store with files of the right names and sizes; they are not read here."""
    for name in (DEFAULT_EMBEDDER, DETECTOR):
        (bare.own / name).mkdir()
        for file in bare.get_spec(name).files:
            with (bare.own / name / file.name).open("wb") as stream:
                stream.truncate(file.size_bytes)
    return bare


@pytest.mark.parametrize(
    ("recipe", "backbone", "faces", "expected"),
    [
        (None, None, None, ("compact", "compact", CROP)),
        ("seed", None, None, ("seed", "seed", CROP)),
        (None, "seed", None, ("seed", "seed", CROP)),
        (None, "compact", DETECT, ("compact", "compact", DETECT)),
        (None, None, DETECT, ("head", DEFAULT_EMBEDDER, DETECT)),
        ("head", None, None, ("head", DEFAULT_EMBEDDER, DETECT)),
        (None, DEFAULT_EMBEDDER, CROP, ("head", DEFAULT_EMBEDDER, CROP)),
    ],
)
def test_what_is_said_decides(
    bare: WeightsStore,
    recipe: str | None,
    backbone: str | None,
    faces: FacesMode | None,
    expected: tuple[str, str, FacesMode],
) -> None:
    choice = choose_training(bare, recipe, backbone, faces)
    assert (choice.recipe, choice.backbone, choice.faces) == expected


def test_weights_that_are_there_are_used_unless_something_else_is_said(full: WeightsStore) -> None:
    assert faces_can_be_found(full)
    assert choose_training(full, None, None, None).backbone == DEFAULT_EMBEDDER
    assert choose_training(full, "compact", None, None).backbone == "compact"
    assert choose_training(full, None, None, CROP).backbone == "compact"


def test_the_detector_alone_does_not_change_what_is_trained(full: WeightsStore) -> None:
    for file in (full.own / DEFAULT_EMBEDDER).iterdir():
        file.unlink()
    assert choose_training(full, None, None, None).backbone == "compact"


@pytest.mark.parametrize(
    ("recipe", "backbone", "error"),
    [
        ("seed", "compact", InputError),
        ("head", "compact", InputError),
        ("compact", DEFAULT_EMBEDDER, InputError),
        (None, DETECTOR, InputError),
        (None, "resnet", UnknownWeightsError),
    ],
)
def test_what_does_not_go_together_is_refused(
    bare: WeightsStore, recipe: str | None, backbone: str, error: type[InputError]
) -> None:
    with pytest.raises(error):
        choose_training(bare, recipe, backbone, None)
