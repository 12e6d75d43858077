"""The frozen dataset of a training run: written once, so that a resumed run learns from the same photos."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from core.records import Example, PersonClass, Split


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a run learns from and is judged on."""

    classes: tuple[PersonClass, ...]
    train: tuple[Example, ...]
    test: tuple[Example, ...]

    @property
    def digest(self) -> str:
        """sha256 over the sorted lines `sha256 person split`, with whom a stranger is said not to be, and with the box
        where one face of several is meant: tells datasets apart wherever their files lie.
        """
        lines = sorted(
            f"{example.sha256} {self._person(example)} {split}{_box(example)}" for split, example in self._examples()
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def save(self, file: Path) -> None:
        """Write the snapshot, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with partial.open("w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.writelines(line + "\n" for line in self._lines())
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a snapshot back."""
        with file.open(encoding="utf-8", errors="surrogateescape") as stream:
            head, *rest = map(json.loads, stream)
        examples: dict[str, list[Example]] = {split: [] for split in Split}
        for row in rest:
            part = examples[row.pop("split")]
            part.append(_example(row))
        return cls(
            classes=tuple(PersonClass(**person) for person in head["classes"]),
            train=tuple(examples[Split.TRAIN]),
            test=tuple(examples[Split.TEST]),
        )

    def _lines(self) -> Iterator[str]:
        yield json.dumps({"classes": [asdict(person) for person in self.classes]}, ensure_ascii=False)
        for split, example in self._examples():
            row: dict[str, Any] = {"split": split, **asdict(example)}
            yield json.dumps(row, ensure_ascii=False)

    def _examples(self) -> Iterator[tuple[Split, Example]]:
        yield from ((Split.TRAIN, example) for example in self.train)
        yield from ((Split.TEST, example) for example in self.test)

    def _person(self, example: Example) -> int | str:
        if example.class_index >= 0:
            return self.classes[example.class_index].person_id
        people = ",".join(str(self.classes[index].person_id) for index in example.not_classes)
        return f"not:{people}" if people else "stranger"


def _example(row: dict[str, Any]) -> Example:
    """Read an example back; what a snapshot of an earlier version does not hold is as it was then."""
    box, not_classes = row.pop("box_xyxy_px", None), row.pop("not_classes", ())
    return Example(
        **row,
        not_classes=tuple(not_classes),
        box_xyxy_px=None if box is None else (box[0], box[1], box[2], box[3]),
    )


def _box(example: Example) -> str:
    return "" if example.box_xyxy_px is None else " " + ",".join(f"{side:g}" for side in example.box_xyxy_px)
