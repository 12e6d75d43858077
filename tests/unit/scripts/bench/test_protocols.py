"""The benchmark's figures on made-up embeddings, whose answers are known."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.faces.impostors import ImpostorScores, PublishedScores
from core.records import ErrorRecord
from scripts.bench.accuracy import measure
from scripts.bench.accuracy_report import print_accuracy
from scripts.bench.learning import Backbone
from scripts.bench.protocols import check_people, measure_identification, measure_verification, spread
from scripts.bench.seen import SeenPhotos
from scripts.output import make_console

DIM = 64


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seen(
    people: int, photos: int, *, seed: int, no_face: tuple[int, ...] = (), poor: tuple[int, ...] = ()
) -> SeenPhotos:
    """Photos near one random direction a person, all far apart."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(people), photos)
    centres = generator.normal(size=(people, DIM))
    vectors = centres[owners] + 0.3 * generator.normal(size=(len(owners), DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = ~np.isin(np.arange(len(owners)), no_face)
    vectors[~found] = 0.0
    good = found & ~np.isin(np.arange(len(owners)), poor)
    return SeenPhotos(
        vectors=vectors, owners=owners, found=found, good=good, several=np.zeros(len(owners), bool), errors=()
    )


def identify(known: SeenPhotos, strangers: SeenPhotos, photos_a_person: int = 2, draws: int = 2) -> dict[str, object]:
    return measure_identification(known, strangers, photos_a_person, draws, lambda _: None)


NOBODY = seen(0, 0, seed=9)


def test_people_who_lie_apart_are_all_told_apart() -> None:
    figures = identify(seen(20, 5, seed=0), seen(100, 1, seed=1))

    assert (figures["people"], figures["photos"]) == (20, 60)
    assert figures["rank1"] == {"mean": 1.0, "min": 1.0, "max": 1.0}
    assert figures["tpir_at_fpir"] == {"0.01": figures["rank1"], "0.003": figures["rank1"]}
    assert figures["rule"]["tpir"]["min"] > 0.9
    assert figures["rule"]["named_wrong"]["max"] == 0.0
    assert figures["rule"]["fpir"]["max"] <= 0.15, "twenty people say little about strangers"


def test_a_photo_without_a_face_is_a_missed_person_and_a_refused_stranger() -> None:
    strangers = seen(100, 1, seed=1, no_face=tuple(range(100)))
    figures = identify(seen(20, 5, seed=0, no_face=(0, 7)), strangers)

    assert figures["photos"] == 60
    assert figures["rank1"]["max"] == pytest.approx(58 / 60)
    assert figures["rule"]["tpir"]["max"] <= 58 / 60
    assert figures["rule"]["fpir"]["max"] == 0.0


def test_a_poor_face_is_compared_but_never_named_nor_learned_from() -> None:
    poor = tuple(range(0, 100, 5))  # one of each person
    figures = identify(seen(20, 5, seed=0, poor=poor), seen(100, 1, seed=1, poor=tuple(range(100))), photos_a_person=3)

    assert figures["rank1"]["mean"] == 1.0
    assert figures["photos"] == 40
    assert figures["rule"]["tpir"]["max"] <= 0.5, "of each person one good photo is left, and the poor one"
    assert figures["rule"]["fpir"]["max"] == 0.0


def test_galleries_of_one_of_half_and_with_swapped_labels_are_tried() -> None:
    scores = ImpostorScores(centre=0.0, spread=1 / 8, tail_start=1.62, tail_scale=0.4, tail_shape=-0.15)
    published = PublishedScores(impostors=scores, genuine_mean=0.9, genuine_deviation=0.05, measured_on="drawn")
    backbone = Backbone(name="mine", published=published)
    known, strangers = seen(24, 5, seed=0), seen(2000, 1, seed=1)
    figures = measure_identification(known, strangers, 3, 1, lambda _: None, backbone)["galleries"]

    for name in ("one_person_fpir", "half_fpir", "doubled_fpir"):
        assert 0.0 < figures[name]["mean"] < 0.06, name
    assert figures["swapped_rank1"]["mean"] > 0.9
    assert figures["one_person_fpir"]["max"] < 0.1


def test_who_has_too_few_good_photos_is_not_learned() -> None:
    figures = identify(seen(10, 4, seed=0, poor=(0, 1)), NOBODY, photos_a_person=3)

    assert (figures["people"], figures["photos"]) == (9, 9)


def test_without_strangers_there_is_no_rate_of_them() -> None:
    figures = identify(seen(10, 4, seed=0), NOBODY)

    assert figures["tpir_at_fpir"] is None
    assert figures["rule"]["fpir"] is None
    assert figures["rank1"]["mean"] == 1.0


def test_the_same_draws_give_the_same_figures_and_each_is_told() -> None:
    known, strangers = seen(12, 4, seed=0), seen(40, 1, seed=1)
    told: list[int] = []

    first = measure_identification(known, strangers, 2, 3, told.append)

    assert first == identify(known, strangers, 2, 3)
    assert told == [1, 2, 3]


@pytest.mark.parametrize("counts", [[3, 3, 3], [9, 3, 1], [9]])
def test_two_people_must_have_photos_left_to_try(counts: list[int]) -> None:
    with pytest.raises(InputError, match="have more than 3 photos, and it takes two"):
        check_people(counts, 3, "photos")


def test_pairs_of_people_who_lie_apart_are_verified() -> None:
    figures = measure_verification(seen(20, 4, seed=0), 3)

    assert (figures["pairs_within"], figures["pairs_across"], figures["draws"], figures["folds"]) == (120, 120, 3, 10)
    assert figures["best_accuracy"]["min"] == 1.0
    assert figures["fold_accuracy"]["mean"] > 0.97


def test_a_pair_with_a_photo_without_a_face_is_taken_as_of_two_people() -> None:
    figures = measure_verification(seen(20, 4, seed=0, no_face=(0,)), 1)

    assert figures["best_accuracy"]["mean"] == pytest.approx((1.0 + 117 / 120) / 2)


def test_a_figure_that_a_draw_lacks_is_none() -> None:
    assert spread([0.5, 1.0]) == {"mean": 0.75, "min": 0.5, "max": 1.0}
    assert spread([0.5, None]) is None


def shown(known: SeenPhotos, strangers: SeenPhotos) -> str:
    text = io.StringIO()
    machine = {"cores": 2, "cpu": "a processor", "torch": "2.15.0", "variant": "plain"}
    figures = measure(known, strangers, [1, 2], 2, Backbone(name="mine"))
    print_accuracy(make_console(text), {"backbone": "mine", **figures, "seconds": 61.0, "machine": machine})
    return text.getvalue()


def test_people_read_a_row_for_each_number_of_photos(capsys: pytest.CaptureFixture[str]) -> None:
    broken = (("/b.jpg", ErrorRecord(code="photo_broken", message="Cut off.")),)
    text = shown(seen(10, 4, seed=0), replace(seen(40, 1, seed=1, no_face=(3,)), errors=broken))

    assert "10: 40 photos, 0 without a face, 0 with several faces" in text
    assert "41 photos, 1 without a face, 0 with several faces, 0 with a poor face, 1 unusable" in text
    assert "100.00 % (100.00 to 100.00) right" in text
    assert re.search(r"Nearest right +TPIR at 1.0 % +TPIR at 0.3 % +Rule: TPIR +named wrong$", text, re.M)
    assert re.search(r"^ *10 x 1 photo +30 +\d+\.\d\d %", text, re.M)
    assert re.search(r"^ *10 x 2 photos +20 +100.00 % +100.00 %", text, re.M)
    assert re.search(r"^Under the rule +1 photo each +2 photos each$", text, re.M)
    assert re.search(r"^Strangers named \(FPIR\) +\d+\.\d\d % \(\d+\.\d\d to \d+\.\d\d\) ", text, re.M)
    for figure in ("half of the people", "others are enrolled", "each person alone", "ECE", "labels swapped"):
        assert figure in text
    assert "Unusable: /b.jpg: Cut off." in capsys.readouterr().err


def test_without_strangers_people_read_nothing_of_them() -> None:
    text = shown(seen(10, 4, seed=0), NOBODY)

    assert "FPIR" not in text
    assert "Strangers" not in text
    assert re.search(r"Nearest right +Rule: TPIR +named wrong$", text, re.M)
