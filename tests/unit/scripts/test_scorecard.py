from dataclasses import replace

from core.records import (
    ErrorRecord,
    FaceOutcome,
    FaceResult,
    ItemOutcome,
    PhotoResult,
    RankedPerson,
)
from scripts.scorecard import Scorecard, main_face

ADA, GRACE = 1, 2
NAMES = {ADA: "Ada", GRACE: "Grace"}


def face(outcome: FaceOutcome, candidate: int, *others: int, side_px: float = 10.0) -> FaceResult:
    ranking = (candidate, *others)
    return FaceResult(
        index=0,
        box_xyxy_px=(0.0, 0.0, side_px, side_px),
        landmarks_px=(),
        quality=None,
        quality_reasons=(),
        outcome=outcome,
        person_id=candidate if outcome is FaceOutcome.IDENTIFIED else None,
        candidate_id=candidate,
        similarity=0.5,
        confidence=0.5,
        top_k=tuple(RankedPerson(person_id=person, similarity=0.5) for person in ranking),
    )


def photo(*faces: FaceResult) -> PhotoResult:
    outcome = ItemOutcome.FACES if faces else ItemOutcome.NO_FACE
    return PhotoResult(
        ordinal=0, uri="/p.jpg", outcome=outcome, sha256="0" * 64, width_px=9, height_px=9, faces=tuple(faces)
    )


def broken() -> PhotoResult:
    error = ErrorRecord(code="photo_broken", message="Cut off.")
    return PhotoResult(
        ordinal=0,
        uri="/b.jpg",
        outcome=ItemOutcome.ERROR,
        sha256=None,
        width_px=None,
        height_px=None,
        error=error,
    )


def test_every_photo_is_counted_once() -> None:
    card = Scorecard(names=NAMES)
    for result in (
        photo(face(FaceOutcome.IDENTIFIED, ADA)),
        photo(face(FaceOutcome.IDENTIFIED, GRACE, ADA)),
        photo(face(FaceOutcome.UNKNOWN, ADA)),
        photo(face(FaceOutcome.AMBIGUOUS, GRACE)),
        photo(),
        broken(),
    ):
        card.add(result, "Ada", ADA)

    document = card.to_json()
    assert document["photos"] == 6
    assert document["errors"] == 1
    assert document["named_right"] + document["named_wrong"] + sum(document["refused"].values()) == 5
    assert document["refused"] == {"unknown": 1, "ambiguous": 1, "low_quality": 0, "no_face": 1}


def test_rates_are_of_the_photos_that_could_be_used() -> None:
    card = Scorecard(names=NAMES)
    card.add(photo(face(FaceOutcome.UNKNOWN, ADA)), "Ada", ADA)
    card.add(photo(face(FaceOutcome.IDENTIFIED, GRACE, ADA)), "Ada", ADA)
    card.add(broken(), "Ada", ADA)

    document = card.to_json()
    assert document["rank1_accuracy"] == 0.5, "the nearest counts, named or not"
    assert document["top5_accuracy"] == 1.0
    assert document["tpir"] == 0.0


def test_the_sixth_of_a_ranking_is_not_in_the_top_five() -> None:
    card = Scorecard(names=NAMES)
    card.add(photo(face(FaceOutcome.UNKNOWN, GRACE, 3, 4, 5, 6, ADA)), "Ada", ADA)

    assert card.to_json()["top5_accuracy"] == 0.0


def test_confusions_stand_most_frequent_first() -> None:
    card = Scorecard(names=NAMES)
    card.add(photo(face(FaceOutcome.UNKNOWN, GRACE)), "Ada", ADA)
    for _ in range(2):
        card.add(photo(face(FaceOutcome.IDENTIFIED, ADA)), "Grace", GRACE)

    assert card.to_json()["confusions"] == [
        {"is": "Grace", "nearest": "Ada", "photos": 2},
        {"is": "Ada", "nearest": "Grace", "photos": 1},
    ]


def test_a_named_stranger_is_counted() -> None:
    card = Scorecard(names=NAMES)
    for outcome in (FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN, FaceOutcome.AMBIGUOUS, FaceOutcome.UNKNOWN):
        card.add_stranger(photo(face(outcome, ADA)))
    card.add_stranger(broken())

    assert card.to_json()["strangers"] == {"photos": 5, "errors": 1, "named": 1, "fpir": 0.25}
    assert card.errors == 1


def test_somebody_whom_the_model_does_not_know_counts_in_no_rate() -> None:
    card = Scorecard(names=NAMES)
    card.add(photo(face(FaceOutcome.IDENTIFIED, ADA)), "Edsger", None)

    document = card.to_json()
    assert document["photos"] == 0
    assert document["rank1_accuracy"] is None
    assert document["not_enrolled"] == [{"name": "Edsger", "photos": 1, "named": 1}]


def placed(left: float, top: float, side_px: float, *reasons: str) -> FaceResult:
    box = (left, top, left + side_px, top + side_px)
    return replace(face(FaceOutcome.UNKNOWN, ADA), box_xyxy_px=box, quality_reasons=reasons)


def in_100_px(*faces: FaceResult) -> PhotoResult:
    return replace(photo(*faces), width_px=100, height_px=100)


def test_of_faces_in_the_same_place_a_photo_is_about_the_largest() -> None:
    small, large = placed(45, 45, 10), placed(40, 40, 20)

    assert main_face(in_100_px(small, large)) is large
    assert main_face(in_100_px(large, small)) is large


def test_a_photo_is_about_the_face_in_the_middle_before_a_somewhat_larger_one_at_the_edge() -> None:
    middle, edge = placed(40, 40, 20), placed(0, 0, 25)

    assert main_face(in_100_px(edge, middle)) is middle
    assert main_face(in_100_px(placed(0, 10, 80), placed(48, 48, 4))) == placed(0, 10, 80), "size counts too"


def test_a_photo_is_about_a_good_face_before_a_poor_one() -> None:
    poor, good = placed(40, 40, 20, "blurred"), placed(0, 0, 10)

    assert main_face(in_100_px(poor, good)) is good
    assert main_face(in_100_px(poor)) is poor
    assert main_face(photo()) is None
