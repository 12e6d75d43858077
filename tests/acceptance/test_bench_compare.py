"""The benchmarks of a fleet in their short form: a few photos through everybody who can run here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.contender import missing_packages

ROOT = Path(__file__).resolve().parents[2]

# One fleet at a time: each takes all cores.
pytestmark = [pytest.mark.xdist_group("fleet"), pytest.mark.long]


def bench(*arguments: object, **environment: str) -> Any:
    """Run a benchmark; return its document."""
    command = [sys.executable, "-m", "scripts.main", "bench", *map(str, arguments), "--json"]
    env = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def link_people(test_data: Path, folder: Path) -> None:
    """Link four photos each of four people into a folder."""
    for person in sorted((test_data / "data" / "lfw_dev" / "known").iterdir())[:4]:
        (folder / person.name).mkdir()
        for photo in sorted(person.iterdir())[:4]:
            (folder / person.name / photo.name).symlink_to(photo)


def test_all_who_can_run_identify_the_same_faces_and_the_others_are_listed() -> None:
    document = bench("compare", "--count", 160, "--rounds", 1)

    contenders, absent = document["contenders"], {each["key"]: each for each in document["absent"]}
    assert {"bare", "cluster", "celery"} <= set(contenders)
    assert set(contenders) | set(absent) == {"bare", "cluster", "celery", "opencv_openvino", "ray", "ray_plain"}
    assert {each["faces"] for each in contenders.values()} == {160}
    assert document["photos_failed"] == 0
    assert contenders["celery"]["cluster_over"]["median"] > 0
    assert all(each["reason"] and each["remedy"] for each in absent.values())


def test_a_photo_submitted_alone_has_its_outcome() -> None:
    document = bench("latency", "--count", 5)

    submitted, stored = document["submitted_ms"], document["stored_ms"]
    assert document["photos_failed"] == 0
    assert 0 < submitted["min"] <= stored["min"] <= stored["p50"] <= stored["p99"] == stored["max"]


def test_every_stage_of_photographs_has_its_cost(test_data: Path, tmp_path: Path) -> None:
    """Photographs; each shows a face at least."""
    link_people(test_data, tmp_path)

    weights = str(test_data / "weights")
    document = bench("stages", "--faces", "detect", "--people", tmp_path, "--count", 144, FACEFLEET_WEIGHTS=weights)

    stages = ["claim", "read", "decode", "detect", "align", "judge", "embed", "decide", "store"]
    assert list(document["stages"]) == stages
    assert all(cost["computing_ms"] > 0 for cost in document["stages"].values())
    assert document["count"] == 16, "the first chunk of 128 warms up"
    assert document["faces_found"] >= 16
    shares = [each["share"] for each in document["limit"]["networks"].values()]
    assert len(shares) == 2
    assert all(0 < share < 1 for share in [*shares, document["limit"]["share"]])


@pytest.mark.skipif(bool(missing_packages(["openvino"])), reason="OpenVINO comes with the extra `bench`")
def test_the_script_finds_the_same_number_of_faces(test_data: Path, tmp_path: Path) -> None:
    link_people(test_data, tmp_path)
    options = ["--faces", "detect", "--people", tmp_path, "--count", 64, "--rounds", 1]
    document = bench("compare", *options, FACEFLEET_WEIGHTS=str(test_data / "weights"))

    faces = {key: each["faces"] for key, each in document["contenders"].items()}
    assert abs(faces["opencv_openvino"] - faces["cluster"]) <= 2


def test_the_engine_runs_where_nothing_to_compare_with_is_installed(test_data: Path) -> None:
    document = bench("engine", "--count", 512, "--rounds", 1, FACEFLEET_WEIGHTS=str(test_data / "weights"))

    sides, absent = document["sides"], document["absent"]
    assert sides["facefleet"]["crops_per_s"]["median"] > 0
    assert len(sides) + len(absent) == 3
    assert all(each["remedy"] == "pip install '.[bench]'" for each in absent)
    assert all(side["least_cosine_to_ours"] is None or side["least_cosine_to_ours"] > 0.99 for side in sides.values())
