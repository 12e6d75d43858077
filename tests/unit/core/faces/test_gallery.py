"""One person is added, renamed or removed without any other moving, and a wrong photo among several does not count."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.gallery import Gallery, enrol_person, find_typical, imprint, remove_person, rename_person
from core.faces.impostors import ImpostorScores
from core.faces.rule import RejectRule
from core.records import PersonClass
from tests.factories import make_classes

DIM = 64
RULE = RejectRule(
    threshold=0.4,
    margin=0.05,
    fpir_target=0.01,
    basis="tried",
    calibration=(-16.0, 40.0, 2.0),
    people=3,
    impostors=ImpostorScores(centre=0.0, spread=0.1),
)
DORA = PersonClass(person_id=9, name="Dora")


def photos_of(person: int, count: int, spread: float = 0.07) -> NDArray[np.float32]:
    centre = np.random.default_rng(person).normal(size=DIM)
    noise = np.random.default_rng([person, 1]).normal(size=(count, DIM)) * spread
    vectors = centre / np.linalg.norm(centre) + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def three() -> Gallery:
    vectors = np.stack([imprint(photos_of(person, 3)) for person in range(3)])
    return Gallery(classes=make_classes("Ada", "Grace", "Edsger"), vectors=vectors, rule=RULE)


def test_adding_a_person_leaves_every_other_row_bit_by_bit() -> None:
    before = three()
    after = enrol_person(before, DORA, photos_of(7, 2))
    assert after.vectors[:3].tobytes() == before.vectors.tobytes()
    assert after.classes == (*before.classes, DORA)
    assert after.vectors[3] @ imprint(photos_of(7, 2)) == pytest.approx(1.0)
    assert after.rule.threshold > before.rule.threshold
    assert after.rule.people == 4


def test_removing_the_person_again_gives_the_gallery_back() -> None:
    before = three()
    after = remove_person(enrol_person(before, DORA, photos_of(7, 1)), DORA.person_id)
    assert after.classes == before.classes
    assert after.vectors.tobytes() == before.vectors.tobytes()
    assert after.rule.threshold == pytest.approx(before.rule.threshold, abs=1e-12)


def test_removing_one_in_the_middle_keeps_the_others() -> None:
    before = three()
    after = remove_person(before, before.classes[1].person_id)
    assert [person.name for person in after.classes] == ["Ada", "Edsger"]
    assert after.vectors.tobytes() == before.vectors[[0, 2]].tobytes()
    assert after.rule.threshold < before.rule.threshold


def test_a_new_name_changes_a_name_alone() -> None:
    before = three()
    after = rename_person(before, before.classes[2].person_id, "E. W. Dijkstra")
    assert [person.name for person in after.classes] == ["Ada", "Grace", "E. W. Dijkstra"]
    assert after.vectors is before.vectors
    assert after.rule is before.rule


def test_a_person_is_enrolled_once_and_with_fitting_photos() -> None:
    with pytest.raises(ValueError, match="already"):
        enrol_person(three(), three().classes[0], photos_of(0, 1))
    with pytest.raises(ValueError, match="do not fit"):
        enrol_person(three(), DORA, photos_of(7, 1)[:, :5])
    with pytest.raises(ValueError, match="not in the gallery"):
        remove_person(three(), 12345)


def test_a_gallery_of_nobody_is_refused() -> None:
    alone = Gallery(classes=make_classes("Ada"), vectors=photos_of(0, 1), rule=RULE)
    with pytest.raises(ValueError, match="as many rows"):
        remove_person(alone, alone.classes[0].person_id)


@pytest.mark.parametrize("right", [2, 3, 5])
def test_a_photo_of_somebody_else_does_not_pull_the_mean(right: int) -> None:
    own, strange = photos_of(0, right), photos_of(1, 1)
    mixed = np.concatenate([own[:1], strange, own[1:]])
    assert find_typical(mixed).tolist() == [True, False, *[True] * (right - 1)]
    assert np.array_equal(imprint(mixed), imprint(own)) or imprint(mixed) @ imprint(own) > 0.9999


def test_two_photos_that_differ_are_both_kept() -> None:
    assert find_typical(np.concatenate([photos_of(0, 1), photos_of(1, 1)])).all()


def test_never_half_of_the_photos_are_outliers() -> None:
    mixed = np.concatenate([photos_of(0, 2), photos_of(1, 1), photos_of(2, 1), photos_of(3, 1), photos_of(4, 1)])
    assert find_typical(mixed).sum() >= 4
    assert find_typical(photos_of(0, 20, spread=0.12)).all()
