import json
import re
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import func, select

from core.models.store import ModelStore
from core.records import PersonClass
from db import people
from db.engine import Database
from db.registry import activate_model, register_model
from db.renames import merge_people
from db.tables import Base
from tests import ledger
from tests.factories import make_artifact, make_face, make_manifest, make_rule
from tests.unit.scripts.runner import Run

NAMES = ("Ada", "Grace", "Zoë")


@pytest.fixture
def model(database: Database, home: Path) -> str:
    """An active model that knows NAMES."""
    with database.write() as session:
        ids = [people.get_or_add_person(session, name, ledger.NOW).id for name in NAMES]
    return activate(database, home, [PersonClass(person_id=i, name=n) for i, n in zip(ids, NAMES, strict=True)])


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two photos of each person that the model knows."""
    for number, name in enumerate(NAMES):
        for shade in range(2):
            draw(tmp_path / "album" / name / f"{shade}.png", number, shade)
    return tmp_path / "album"


def test_a_model_is_measured_on_labelled_photos(run: Run, model: str, album: Path) -> None:
    ran = run("evaluate", album, "--json")

    document = ran.document
    assert ran.code == 0
    assert document["model"] == model
    assert document["photos"] == document["named_right"] == 6
    assert document["rank1_accuracy"] == document["top5_accuracy"] == document["tpir"] == 1.0
    assert [(person["name"], person["photos"]) for person in document["people"]] == [(name, 2) for name in NAMES]
    assert document["strangers"] is None


def test_people_who_were_merged_are_one_person(run: Run, model: str, database: Database, album: Path) -> None:
    """Whose folder it is and which of the two classes is nearest makes no difference."""
    with database.write() as session:
        merge_people(session, "Grace", "Ada", who="test", now=ledger.NOW)

    document = run("evaluate", album, "--json").document

    assert (document["photos"], document["named_right"], document["named_wrong"]) == (6, 6, 0)
    assert [(person["name"], person["photos"]) for person in document["people"]] == [("Ada", 4), ("Zoë", 2)]
    assert document["scorecard"]["people"]["known"] == 2


def test_nothing_is_written(run: Run, model: str, database: Database, album: Path) -> None:
    before = row_counts(database)

    run("evaluate", album, "--strangers", album)

    assert row_counts(database) == before


def test_strangers_are_counted_flat_or_nested(run: Run, model: str, album: Path, tmp_path: Path) -> None:
    draw(tmp_path / "strangers" / "a.png", 7, 0)
    draw(tmp_path / "strangers" / "deep" / "deeper" / "b.png", 0, 0)

    strangers = run("evaluate", album, "--strangers", tmp_path / "strangers", "--json").document["strangers"]

    assert strangers == {"photos": 2, "errors": 0, "named": 1, "fpir": 0.5}


def test_the_test_half_of_a_training_set_is_taken(run: Run, model: str, album: Path, tmp_path: Path) -> None:
    draw(tmp_path / "set" / "train" / "Ada" / "0.png", 1, 0)
    draw(tmp_path / "set" / "test" / "Ada" / "0.png", 0, 0)

    document = run("evaluate", tmp_path / "set", "--json").document

    assert (document["photos"], document["named_right"]) == (1, 1)


def test_a_folder_named_in_another_case_or_accent_is_the_same_person(run: Run, model: str, tmp_path: Path) -> None:
    draw(tmp_path / "set" / "ZOE" / "0.png", 2, 0)

    assert run("evaluate", tmp_path / "set", "--json").document["people"][0]["name"] == "Zoë"


def test_a_photo_that_cannot_be_used_is_listed_and_ends_with_1(run: Run, model: str, album: Path) -> None:
    (album / "Ada" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")

    ran = run("evaluate", album, "--json")

    assert ran.code == 1
    assert (ran.document["photos"], ran.document["errors"], ran.document["tpir"]) == (7, 1, 1.0)
    (error,) = ran.document["first_errors"]
    assert error["uri"].endswith("broken.jpg")
    assert error["uri"] in run("evaluate", album).out


def test_mistakes_are_shown_by_person_and_pair(run: Run, model: str, album: Path) -> None:
    draw(album / "Ada" / "grace.png", 1, 0)
    draw(album / "Edsger" / "0.png", 9, 0)

    document = run("evaluate", album, "--json").document
    assert document["confusions"] == [{"is": "Ada", "nearest": "Grace", "photos": 1}]
    assert document["not_enrolled"] == [{"name": "Edsger", "photos": 1, "named": 0}]
    text = run("evaluate", album).out
    assert re.search(r"^Named wrong +1 of 7 +14.3 % +too few people$", text, re.MULTILINE)
    assert "1 photo of 1 person whom the model does not know; named: 0" in text


def test_another_version_can_be_measured(run: Run, model: str, database: Database, home: Path, album: Path) -> None:
    strict = activate(database, home, [PersonClass(person_id=1, name="Ada")], rule=make_rule(threshold=2.0))

    document = run("evaluate", album, "--model", strict, "--json").document

    assert document["model"] == strict
    assert document["refused"]["unknown"] == 2
    assert run("evaluate", album, "--model", model, "--json").document["named_right"] == 6


def test_without_a_model_it_says_how_to_get_one(run: Run, database: Database, album: Path) -> None:
    ran = run("evaluate", album, "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "no_active_model"


@pytest.mark.parametrize("arguments", [["/no/such"], ["{album}/Ada"], ["{album}", "--strangers", "/no/such"]])
def test_a_folder_without_people_is_wrong_usage(run: Run, model: str, album: Path, arguments: list[str]) -> None:
    ran = run("evaluate", *(argument.format(album=album) for argument in arguments), "--json")

    assert ran.code == 2
    assert "Nothing was measured" in ran.document["error"]["message"]


def test_the_scorecard_counts_what_the_figures_count(run: Run, model: str, album: Path, tmp_path: Path) -> None:
    """A seventh photo of a known person looks like another; of two strangers one looks like a known person."""
    draw(album / "Ada" / "grace.png", 1, 0)
    draw(tmp_path / "strangers" / "amy" / "1.png", 0, 0)
    draw(tmp_path / "strangers" / "amy" / "2.png", 0, 1)
    draw(tmp_path / "strangers" / "bea.png", 7, 0)

    document = run("evaluate", album, "--strangers", tmp_path / "strangers", "--json").document

    card = document["scorecard"]
    assert card["photos"] == {"known": 7, "strangers": 3}
    assert card["people"] == {"known": 3, "strangers": 2}
    assert (card["rank1"]["rate"], card["tpir"]["rate"]) == (document["rank1_accuracy"], document["tpir"])
    assert (card["rank1"]["count"], card["named_wrong"]["count"]) == (6, 1)
    assert card["fpir"]["rate"] == document["strangers"]["fpir"] == pytest.approx(2 / 3)
    assert (card["wrong_names"]["count"], card["wrong_names"]["of"]) == (3, 9)
    assert [each["strangers_needed"] for each in card["tpir_at_fpir"] if each["tpir"] is None] == [334, 100, 20]
    assert document["group_by"] is None


def test_a_share_that_the_strangers_cannot_tell_is_said_to_need_more(
    run: Run, model: str, album: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "strangers" / "bea.png", 7, 0)

    text = run("evaluate", album, "--strangers", tmp_path / "strangers").out

    assert re.search(r"^at most 1 % +needs 100 strangers$", text, re.MULTILINE)
    assert "too few strangers here to check that" in text


def test_the_report_fits_a_terminal_of_eighty_columns(run: Run, model: str, album: Path, tmp_path: Path) -> None:
    draw(tmp_path / "strangers" / "bea.png", 7, 0)
    groups = write_groups(tmp_path, "Ada,younger than most", "Grace,older than most", "bea,younger than most")

    text = run("evaluate", album, "--strangers", tmp_path / "strangers", "--groups", groups).out

    tables = [line for line in text.splitlines() if not line.startswith("The model's threshold")]
    assert max(map(len, tables)) <= 80


def test_groups_are_told_apart(run: Run, model: str, album: Path, tmp_path: Path) -> None:
    draw(album / "Ada" / "grace.png", 1, 0)
    draw(tmp_path / "strangers" / "bea.png", 0, 0)
    groups = write_groups(tmp_path, "ada,young", "GRACE,old", "bea,old")

    arguments = ("evaluate", album, "--strangers", tmp_path / "strangers", "--groups", groups)
    document, text = run(*arguments, "--json").document, run(*arguments).out

    assert document["group_by"] == "age"
    old, young = document["scorecard"]["groups"]
    assert (old["name"], old["people"], old["tpir"]["rate"], old["fpir"]["rate"]) == ("old", 1, 1.0, 1.0)
    assert (young["name"], young["tpir"]["count"], young["tpir"]["of"]) == ("young", 2, 3)
    assert young["fpir"]["rate"] is None
    assert document["scorecard"]["no_group"] == {"known": 2, "strangers": 0}
    assert re.search(r"^old +1 +2 +100.0 % +100.0 % +too few people +\+20.0$", text, re.MULTILINE)
    assert "Photos of people in no group: 2" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--groups", "{folder}/none.csv"], "cannot be read"),
        (["--groups", "{groups}", "--group-by", "town"], "has no column 'town'"),
        (["--groups", "{groups}"], "'Edsger'"),
        (["--group-by", "age"], "--group-by age needs a file"),
        (["--strangers", "{folder}/empty"], "no folder with photos"),
        (["--picture", "card.pdf"], "neither .png nor .svg"),
        (["--picture", "{folder}/none/card.png"], "There is no folder"),
    ],
)
def test_what_cannot_be_used_is_wrong_usage(
    run: Run, model: str, album: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    groups = write_groups(tmp_path, "Ada,young", "Edsger,old")

    ran = run("evaluate", album, *(each.format(folder=tmp_path, groups=groups) for each in arguments), "--json")

    assert ran.code == 2
    assert said in ran.document["error"]["message"]
    assert "Nothing was measured" in ran.document["error"]["message"]
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("kind", ["png", "SVG"])
def test_a_picture_is_drawn(run: Run, model: str, album: Path, tmp_path: Path, kind: str) -> None:
    draw(tmp_path / "strangers" / "bea.png", 7, 0)
    picture = tmp_path / f"card.{kind}"

    ran = run("evaluate", album, "--strangers", tmp_path / "strangers", "--picture", picture)

    assert ran.code == 0
    assert f"Picture: {picture}" in ran.out
    assert picture.read_bytes().startswith(b"\x89PNG" if kind == "png" else b"<svg")


def write_groups(folder: Path, *lines: str) -> Path:
    file = folder / "groups.csv"
    file.write_text("\n".join(["person,age", *lines, ""]), encoding="utf-8")
    return file


def activate(database: Database, home: Path, classes: list[PersonClass], **changes: object) -> str:
    sha256 = make_artifact(ModelStore(home / "artifacts"), classes, **changes)
    manifest = json.loads(make_manifest(classes, **changes).to_json())
    with database.write() as session:
        model = register_model(session, sha256=sha256, manifest=manifest, run_id=None, parent_id=None, now=ledger.NOW)
        activate_model(session, model, who="test", why="test", now=ledger.NOW)
        return f"v{model.id}"


def draw(file: Path, person: int, shade: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_face(person, size_px=48, shade=shade)).save(file)


def row_counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}
