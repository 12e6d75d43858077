"""Makes what a demo's report tells, without a demo."""

from datetime import UTC, datetime

from core.records import EpochProgress
from scripts.demo_score import ProbeOutcome, ScoredPhoto, score_people
from scripts.report import ReportData, Seconds
from tests.factories import make_classes, make_manifest


def photo(truth: str | None, outcome: ProbeOutcome, person: str | None, number: int = 0) -> ScoredPhoto:
    return ScoredPhoto(
        uri=f"/photos/{number}.jpg",
        truth=truth,
        outcome=outcome,
        person=person,
        candidate=person or "Ada",
        similarity=0.8,
        confidence=0.9,
    )


PHOTOS = (
    photo("Ada", ProbeOutcome.NAMED_RIGHT, "Ada"),
    photo("Ada", ProbeOutcome.REFUSED, None),
    photo("Grace", ProbeOutcome.NAMED_WRONG, "Ada"),
    photo(None, ProbeOutcome.REFUSED, None),
)


def make_data(photos: tuple[ScoredPhoto, ...] = PHOTOS, names: tuple[str, ...] = ("Ada", "Grace")) -> ReportData:
    return ReportData(
        made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        drawn=True,
        source="drawn faces",
        photos=photos,
        people=score_people(photos, dict.fromkeys(names, 3)),
        portraits={name: f"/train/{name}.jpg" for name in names},
        model_version="v1",
        model_sha256="ab" * 32,
        manifest=make_manifest(make_classes(*names), train_count=6),
        epochs=[
            EpochProgress(
                epoch=epoch,
                epochs=2,
                train_loss=1 / epoch,
                train_accuracy=0.5 * epoch,
                val_loss=None,
                val_accuracy=None,
                learning_rate=0.001,
                seconds=1.0,
            )
            for epoch in (1, 2)
        ],
        seconds=Seconds(photos=1.0, start=2.0, people=3.0, training=4.0, identification=0.5, total=10.5),
        workers=2,
    )
