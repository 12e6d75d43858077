"""The comparison: its order, its figures, who takes part, and what is drawn. No fleet runs here."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.records import FacesMode
from scripts.bench import compare_celery, compare_opencv, compare_ray
from scripts.bench.compare_field import why_absent
from scripts.bench.compare_opencv import similarity_matrix
from scripts.bench.compare_picture import write_comparison
from scripts.bench.compare_rounds import describe_absent, describe_contenders, order_of_round, sum_up, time_rounds
from scripts.bench.contender import Absent, Card, ContenderError, Timed, absent_without
from scripts.bench.latency import summary
from scripts.bench.options import choose_work
from tests.unit.scripts.runner import Run


class Stub:
    """A contender that takes what it is told to."""

    def __init__(self, key: str, *seconds: float, counts: bool = True, breaks_in: int | None = None) -> None:
        self.card = Card(key=key, title=key.title(), does="Waits.", computing_counts=counts)
        self.ran_as = ""
        self.runs = 0
        self._seconds = seconds
        self._breaks_in = breaks_in

    def run(self, uris: Sequence[str]) -> Timed:
        self.runs += 1
        if self.runs == self._breaks_in:
            raise ContenderError("it stumbled")
        return Timed(seconds=self._seconds[self.runs - 1], faces=len(uris))


def figures() -> dict[str, Any]:
    """The JSON form of a comparison of two, without two others."""
    stubs = [Stub("cluster", 1.0, 1.0), Stub("ray", 2.0, 3.0, counts=False)]
    timed, _ = time_rounds(stubs, ["a"] * 100, 2, lambda _: None)
    gone = [Absent(card=Card(key=key, title=key, does=""), reason="is <not> here", remedy="get it") for key in "xy"]
    return {
        "faces": "crop",
        "count": 100,
        "rounds": 2,
        "workers": 2,
        "backbone": "compact",
        "contenders": describe_contenders(stubs, timed, 100),
        "absent": describe_absent(gone),
        "machine": {"cores": 2, "cpu": "a chip"},
    }


def test_every_contender_runs_once_a_round_and_no_place_is_one_contenders_own() -> None:
    keys = ["a", "b", "c", "d"]
    orders = [order_of_round(keys, number) for number in range(8)]

    assert all(sorted(order) == keys for order in orders)
    for place in range(4):
        assert len({order[place] for order in orders}) >= 2
    assert set(Counter(order[0] for order in orders).values()) == {2}


def test_ratios_are_taken_within_a_round() -> None:
    """The machine is half as fast in the second round, for both: the ratio is the same."""
    timed = {"cluster": [Timed(1.0, 5), Timed(2.0, 5)], "celery": [Timed(6.0, 5), Timed(12.0, 5)]}

    summed = sum_up(timed, 120)

    assert summed["celery"]["cluster_over"] == {"median": 6.0, "min": 6.0, "max": 6.0}
    assert summed["celery"]["images_per_s"] == {"median": 15.0, "min": 10.0, "max": 20.0}
    assert summed["cluster"]["cluster_over"] is None


def test_computing_is_compared_where_it_can_be_counted() -> None:
    timed = {
        "cluster": [Timed(1.0, 5, computing_s=1.0)],
        "script": [Timed(1.0, 5, computing_s=3.0)],
        "ray": [Timed(1.0, 5)],
    }

    summed = sum_up(timed, 100)

    assert summed["script"]["computing_ms"]["median"] == pytest.approx(30.0)
    assert summed["script"]["cluster_over_by_computing"]["median"] == pytest.approx(3.0)
    assert (summed["ray"]["computing_ms"], summed["ray"]["cluster_over_by_computing"]) == (None, None)


def test_a_contender_that_breaks_down_is_listed_and_the_others_go_on() -> None:
    stubs = [Stub("cluster", 1.0, 1.0, 1.0), Stub("ray", 1.0, 1.0, breaks_in=2)]

    timed, absent = time_rounds(stubs, ["a"], 3, lambda _: None)

    assert {key: len(times) for key, times in timed.items()} == {"cluster": 3}
    assert [(each.card.key, each.broke_down) for each in absent] == [("ray", True)]
    assert "it stumbled" in absent[0].reason


def test_nothing_is_compared_with_a_cluster_that_broke_down() -> None:
    with pytest.raises(ContenderError):
        time_rounds([Stub("cluster", breaks_in=1), Stub("bare", 1.0)], ["a"], 1, lambda _: None)


def test_what_is_not_installed_is_named_with_the_command_that_brings_it() -> None:
    card = Card(key="x", title="X", does="")

    absent = absent_without(card, ["json", "no_such_module"])

    assert absent == Absent(card=card, reason="no_such_module is not installed", remedy="pip install '.[bench]'")
    assert absent_without(card, ["json"]) is None


def test_the_script_that_finds_faces_says_how_to_have_it_compared() -> None:
    absent = why_absent(compare_opencv.CARD, FacesMode.CROP)

    assert absent is not None
    assert absent.remedy.startswith("facefleet bench compare --faces detect")


@pytest.mark.parametrize("mode", FacesMode)
def test_celery_needs_nothing_more_and_ray_only_its_packages(mode: FacesMode) -> None:
    assert why_absent(compare_celery.CARD, mode) is None
    missing = absent_without(compare_ray.CARD, compare_ray.PACKAGES)
    assert why_absent(compare_ray.CARD, mode) == missing


@pytest.mark.parametrize("mode, people", [("crop", Path("people")), ("detect", None)])
def test_options_that_do_not_go_together_are_refused(mode: str, people: Path | None) -> None:
    with pytest.raises(InputError, match="Nothing was measured"):
        choose_work(mode, None, people, 2)


def test_the_people_themselves_are_identified_where_no_photos_are_named() -> None:
    work = choose_work("detect", None, Path("people"), 2)

    assert (work.photos, work.source) == ("people", "people")


def test_detection_without_weights_says_which_are_missing(run: Run, tmp_path: Path) -> None:
    ran = run("bench", "compare", "--faces", "detect", "--people", tmp_path, "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "weights_missing"
    assert "facefleet weights pull" in ran.document["error"]["message"]


def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    ran = run("bench", "compare", "--picture", tmp_path / "speed.gif", "--json")

    assert ran.code == 2
    assert "Nothing was measured" in ran.document["error"]["message"]


def test_the_picture_names_everybody_also_those_who_are_absent(tmp_path: Path) -> None:
    write_comparison(tmp_path / "speed.svg", figures())
    write_comparison(tmp_path / "speed.png", figures())

    root = ET.fromstring((tmp_path / "speed.svg").read_text(encoding="utf-8"))
    texts = [str(each.text) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Cluster", "Ray", "100", "42", "2.50x (2.00 to 3.00)"} <= set(texts)
    assert sum("Not compared" in text and "is <not> here" in text for text in texts) == 2
    with Image.open(tmp_path / "speed.png") as picture:
        size = picture.size
    assert size == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))
    for shape in root.iter("{http://www.w3.org/2000/svg}polygon"):
        places = [tuple(map(float, place.split(","))) for place in shape.attrib["points"].split()]
        assert all(0 <= x <= size[0] / 2 and 0 <= y <= size[1] / 2 for x, y in places)


def test_the_similarity_is_found_again() -> None:
    target = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 5.0], [1.0, 9.0], [9.0, 9.0]])
    turn = 2.0 * np.array([[0.8, -0.6], [0.6, 0.8]])
    points = (target - (3.0, 4.0)) @ np.linalg.inv(turn).T

    matrix = similarity_matrix(points, target)

    assert matrix == pytest.approx(np.hstack([turn, [[3.0], [4.0]]]))


def test_percentiles_are_values_that_so_many_do_not_exceed() -> None:
    figures = summary([number / 1000 for number in range(1, 101)])

    assert [figures[name] for name in ("p50", "p95", "p99", "min", "max")] == pytest.approx([50, 95, 99, 1, 100])
    assert summary([0.002])["p99"] == pytest.approx(2.0)
