"""The manifest survives its trip through JSON, and nothing else passes for one."""

import dataclasses
import json
from datetime import datetime

import pytest

from core.errors import ArtifactCorruptError, ManifestVersionError
from core.faces.impostors import ImpostorScores
from core.models.manifest import FORMAT_VERSION, Manifest
from core.records import FacesMode
from tests.factories import make_classes, make_manifest, make_rule

_FIRST_RULE = ("threshold", "margin", "fpir_target", "basis", "calibration")


def test_a_manifest_survives_its_trip_through_json() -> None:
    manifest = make_manifest(
        make_classes("Zoë", "李雷", "O'Brien"),
        parent="a" * 64,
        licence="Apache-2.0",
        metrics={"test_accuracy": 0.5, "per_person": {"Zoë": [1, 2]}, "note": None},
    )
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json().encode()) == manifest


def test_a_model_for_faces_that_are_found_says_how_they_are_found_and_aligned() -> None:
    template = tuple((0.1 * i, 0.2) for i in range(5))
    changes = {
        "faces": FacesMode.DETECT,
        "template": template,
        "detector_sha256": "d" * 64,
        "backbone_sha256": "b" * 64,
    }
    manifest = make_manifest(**changes)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_rule_with_impostor_scores_survives_its_trip_through_json() -> None:
    rule = dataclasses.replace(
        make_rule(), people=3, impostors=ImpostorScores(centre=0.01, spread=0.09), stranger_share=0.5
    )
    assert Manifest.from_json(make_manifest(rule=rule).to_json()).rule == rule


def test_a_manifest_of_before_galleries_were_counted_is_still_read() -> None:
    document = json.loads(make_manifest().to_json())
    document["rule"] = {key: document["rule"][key] for key in _FIRST_RULE}
    read = Manifest.from_json(json.dumps(document)).rule
    assert read == make_rule()
    assert (read.people, read.impostors, read.stranger_share) == (None, None, None)


@pytest.mark.parametrize("wrong", [[], {"centre": 0.0}, {"centre": 0.0, "spread": -1.0}, "narrow"])
def test_impostor_scores_that_are_none_make_no_manifest(wrong: object) -> None:
    document = json.loads(make_manifest().to_json())
    document["rule"]["impostors"] = wrong
    with pytest.raises(ArtifactCorruptError):
        Manifest.from_json(json.dumps(document))


def test_a_figure_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        make_manifest(metrics={"test_accuracy": float("nan")}).to_json()


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, None, "1", 0])
def test_another_format_version_is_named_in_the_error(version: object) -> None:
    document = json.loads(make_manifest().to_json()) | {"format_version": version}
    with pytest.raises(ManifestVersionError, match=f"version {version!r}"):
        Manifest.from_json(json.dumps(document))


def test_the_version_is_looked_at_before_the_fields() -> None:
    with pytest.raises(ManifestVersionError):
        Manifest.from_json('{"format_version": 99, "fields": "of the future"}')


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_not_read(number: str) -> None:
    text = make_manifest(metrics={"test_accuracy": 0.123456}).to_json().replace("0.123456", number)
    with pytest.raises(ArtifactCorruptError, match="strict JSON"):
        Manifest.from_json(text)


@pytest.mark.parametrize("text", ["", "[]", "null", '"manifest"', "{", "\ufffe", "[" * 100_000])
def test_what_is_no_json_object_is_no_manifest(text: str) -> None:
    with pytest.raises(ArtifactCorruptError):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": [{"person_id": "1", "name": "Ada"}]},
        {"classes": [{"person_id": 1}]},
        {"classes": None},
        {"input_size_px": "64"},
        {"input_size_px": True},
        {"input_size_px": 0},
        {"embedding_dim": 9.5},
        {"faces": "both"},
        {"rule": {"threshold": 0.5}},
        {"rule": []},
        {"created_at": "2026-01-02T03:04:05"},
        {"created_at": "yesterday"},
        {"metrics": []},
        {"parent": 5},
        {"faces": "detect"},
        {"template": [[0.3, 0.4]]},
        {"template": [[0.3, 0.4, 0.5]] * 5},
        {"template": "five points"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_field_that_is_wrong_makes_no_manifest(change: dict[str, object]) -> None:
    document = json.loads(make_manifest().to_json()) | change
    with pytest.raises(ArtifactCorruptError):
        Manifest.from_json(json.dumps(document))


def test_a_field_that_is_missing_makes_no_manifest() -> None:
    document = json.loads(make_manifest().to_json())
    del document["rule"]
    with pytest.raises(ArtifactCorruptError, match="rule"):
        Manifest.from_json(json.dumps(document))


def test_times_stay_aware() -> None:
    created_at = Manifest.from_json(make_manifest().to_json()).created_at
    assert created_at.utcoffset() is not None
    assert created_at == datetime.fromisoformat("2026-01-02T03:04:05+00:00")
