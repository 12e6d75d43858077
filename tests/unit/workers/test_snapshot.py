"""The frozen dataset of a run: the same when read back, and its digest speaks of people and bytes, not of places."""

from dataclasses import replace
from pathlib import Path

from core.records import Example, PersonClass
from workers.snapshot import Snapshot

CLASSES = (PersonClass(person_id=4, name="Ada"), PersonClass(person_id=9, name="Grâce \udce9"))
TRAIN = (
    Example(uri="/photos/a.jpg", class_index=0, sha256="a" * 64),
    Example(uri="/photos/\u00e9.jpg", class_index=1, sha256="b" * 64),
)
TEST = (Example(uri="/photos/c.jpg", class_index=-1, sha256="c" * 64),)


def make_snapshot() -> Snapshot:
    return Snapshot(classes=CLASSES, train=TRAIN, test=TEST)


def test_a_snapshot_is_read_back_as_it_was(tmp_path: Path) -> None:
    make_snapshot().save(tmp_path / "run" / "snapshot.jsonl")
    assert Snapshot.load(tmp_path / "run" / "snapshot.jsonl") == make_snapshot()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["snapshot.jsonl"]


def test_the_digest_does_not_depend_on_order_or_place() -> None:
    moved = tuple(replace(example, uri="/elsewhere" + example.uri) for example in reversed(TRAIN))
    assert replace(make_snapshot(), train=moved).digest == make_snapshot().digest


def test_the_digest_changes_with_a_label_and_with_the_purpose() -> None:
    relabelled = (replace(TRAIN[0], class_index=1), TRAIN[1])
    assert replace(make_snapshot(), train=relabelled).digest != make_snapshot().digest
    assert Snapshot(classes=CLASSES, train=TRAIN + TEST, test=()).digest != make_snapshot().digest
