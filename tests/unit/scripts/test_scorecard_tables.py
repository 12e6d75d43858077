"""What a person reads of a scorecard, and that its page names every key."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.training.scorecard import ScoredPhotos
from core.training.scoring import make_scorecard
from scripts.model_report import figures as model_figures
from scripts.output import make_console
from scripts.scorecard_tables import print_figures, show_at_fpirs
from tests.factories import make_manifest

_PAGE = Path(__file__).resolve().parents[3] / "docs" / "scorecard.md"


def photos(similarity: list[float], right: bool = True) -> ScoredPhotos:
    values = np.array(similarity)
    return ScoredPhotos(
        person=np.arange(len(values)),
        found=np.ones(len(values), bool),
        similarity=values,
        right=np.full(len(values), right),
        named=values > 0.5,
        confidence=np.clip(values, 0.0, 1.0),
        group=np.arange(len(values)) % 2,
    )


def card(known: list[float], strangers: list[float], groups: tuple[str, ...] = ()) -> dict[str, Any]:
    return make_scorecard(photos(known), photos(strangers, right=False), fpir_target=0.01, groups=groups).to_json()


def text_of(figures: dict[str, Any], group_by: str | None = None) -> str:
    stream = io.StringIO()
    print_figures(make_console(stream), figures, group_by)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("named", "said"),
    [(0, "fewer than that"), (10, "do not speak against that"), (100, "more than that")],
)
def test_it_is_said_whether_the_rule_keeps_its_word(named: int, said: str) -> None:
    text = text_of(card([0.9] * 20, [0.9] * named + [0.1] * (1000 - named)))

    assert "chosen to let 1 % of strangers get a name" in text
    assert said in text


def test_shares_are_told_with_counts_and_intervals() -> None:
    text = text_of(card([0.9] * 90 + [0.1] * 10, [0.1] * 20))

    assert re.search(r"^Named right \(TPIR\) +90 of 100 +90.0 % +8\d\.\d to 9\d\.\d %$", text, re.M)
    assert re.search(r"^Strangers refused +20 of 20 +100.0 % +83.2 to 100.0 %$", text, re.M)
    assert re.search(r"^at most 5 % +0.100 +90.0 % ", text, re.M)
    assert re.search(r"^at most 0.3 % +needs 334 strangers$", text, re.M)


def test_without_strangers_nothing_is_said_of_them() -> None:
    assert "tranger" not in text_of(card([0.9] * 10, []))


def test_a_group_that_fares_worse_is_named() -> None:
    """Every second photo, of group b, is refused half of the time."""
    text = text_of(card([0.9, 0.9, 0.9, 0.1] * 30, [0.1] * 5, groups=("a", "b")), "age")

    assert re.search(r"^b +60 +60 +100.0 % +50.0 % +.* -50.0$", text, re.M)
    assert "Known people of 'b' are named right less often than others, by 50.0 points (95 % interval" in text
    assert "given a name" not in text


def test_shares_at_each_fpir_fit_one_line() -> None:
    assert show_at_fpirs(card([0.9] * 9 + [0.1], [0.2] * 100)) == "90.0 % at 1 %, 90.0 % at 5 %"
    assert show_at_fpirs(card([0.9], [0.2])) is None


def test_a_model_is_shown_with_the_figures_of_its_scorecards() -> None:
    test, rehearsal = card([0.9] * 9 + [0.1], [0.1] * 20), card([0.9] * 10, [0.1] * 99 + [0.9])
    metrics = {
        "test": {"photos": 30, "scorecard": test},
        "rehearsal": {"held_out_rank1_accuracy": 1.0, "held_out_photos": 10, "scorecard": rehearsal},
    }

    shown = dict(model_figures(_as_stored(metrics)))

    assert shown["Test photos"] == "10 of 10 people, 20 of strangers"
    assert str(shown["Named right"]).startswith("90.0 % (")
    assert shown["Strangers named"] == "0.0 % (0.0 to 16.8 %)"
    assert shown["In rehearsal"] == "100.0 % of 10 held-out photos nearest right"
    assert str(shown[" strangers named"]).startswith("1.0 % (")


def test_a_model_from_before_scorecards_is_shown_as_it_was() -> None:
    metrics = {"test": {"photos": 30, "rank1_accuracy": 0.5, "tpir": 0.25, "fpir": None}, "rehearsal": None}

    shown = dict(model_figures(_as_stored(metrics)))

    assert (shown["Test photos"], shown["Nearest right"], shown["Named right"]) == ("30", "50.0 %", "25.0 %")
    assert shown["Strangers named"] is None


def test_every_key_of_the_document_is_documented() -> None:
    page = _PAGE.read_text(encoding="utf-8").split("## The document")[1]
    lines = re.findall(r"^\| (`.*?) \| (.*) \|$", page, re.M)
    documented = {key for cell, _ in lines for key in re.findall(r"`(\w+)`", cell)}
    document = card([0.9] * 40, [0.1] * 400, groups=("a", "b"))

    assert documented == set(document)
    said = {key: text for cell, text in lines for key in re.findall(r"`(\w+)`", cell)}
    for key in ("tpir_at_fpir", "reliability", "curve", "coverage", "groups"):
        assert set(document[key][0]) <= set(re.findall(r"`(\w+)`", said[key])), key


def _as_stored(metrics: dict[str, Any]) -> dict[str, Any]:
    manifest = replace(make_manifest(), metrics=metrics)
    return {
        "train_count": manifest.train_count,
        "classes": manifest.classes,
        "metrics": metrics,
        "rule": {"threshold": 0.5, "margin": 0.1, "fpir_target": 0.01, "basis": "a guess"},
    }
