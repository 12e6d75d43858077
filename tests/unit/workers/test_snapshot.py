"""The frozen dataset of a run: the same when read back, and its digest speaks of people and bytes, not of places."""

import json
from dataclasses import replace
from pathlib import Path

from core.records import Example, PersonClass
from workers.snapshot import Snapshot

CLASSES = (PersonClass(person_id=4, name="Ada"), PersonClass(person_id=9, name="Grâce \udce9"))
TRAIN = (
    Example(uri="/photos/a.jpg", class_index=0, sha256="a" * 64),
    Example(uri="/photos/\u00e9.jpg", class_index=1, sha256="b" * 64),
    Example(uri="/photos/d.jpg", class_index=-1, sha256="d" * 64),
    Example(uri="/photos/e.jpg", class_index=-1, not_classes=(0, 1), sha256="e" * 64, box_xyxy_px=(1.0, 2.0, 3.5, 4.0)),
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
    relabelled = (replace(TRAIN[0], class_index=1), *TRAIN[1:])
    assert replace(make_snapshot(), train=relabelled).digest != make_snapshot().digest
    assert Snapshot(classes=CLASSES, train=TRAIN + TEST, test=()).digest != make_snapshot().digest


def test_the_digest_changes_with_whom_a_stranger_is_not() -> None:
    digests = {
        replace(make_snapshot(), train=(*TRAIN[:3], replace(TRAIN[3], not_classes=classes))).digest
        for classes in ((), (0,), (1,), (0, 1))
    }
    assert len(digests) == 4


def test_a_snapshot_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.jsonl"
    lines = [
        {"classes": [{"person_id": 4, "name": "Ada"}]},
        {"split": "train", "uri": "/a.jpg", "class_index": 0, "sha256": "a" * 64, "box_xyxy_px": [1, 2, 3, 4]},
        {"split": "test", "uri": "/b.jpg", "class_index": -1, "sha256": "b" * 64},
    ]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    snapshot = Snapshot.load(file)
    assert snapshot.train == (Example(uri="/a.jpg", class_index=0, sha256="a" * 64, box_xyxy_px=(1, 2, 3, 4)),)
    assert snapshot.test == (Example(uri="/b.jpg", class_index=-1, sha256="b" * 64),)
