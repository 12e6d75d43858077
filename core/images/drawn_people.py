"""Made-up people for the drawn sample: what tells one from another, and that no two are alike. Draws nothing."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

Colour = tuple[int, int, int]

# fmt: off
NAMES = (
    "Amara", "Joon", "Sofia", "Mateo", "Ingrid", "Kwame", "Yuki", "Leila", "Tomasz", "Priya", "Anahera", "Diego",
    "Freya", "Omar", "Mei", "Aroha", "Luca", "Zainab", "Nikolai", "Hana", "Chidi", "Elif", "Rafael", "Saoirse",
    "Arjun", "Malia", "Viktor", "Noor", "Emeka", "Lucia", "Thabo", "Astrid", "Kenji", "Fatima", "Bruno", "Sade",
    "Pavel", "Rosa", "Idris", "Mina", "Oskar", "Thandi", "Hugo", "Lan", "Samir", "Greta", "Tane", "Isla",
)
"""First names of many cultures."""
# fmt: on

_TRIES = 4000

LEAST_DISTANCE = 0.35
"""Room for about 100 people; at 0.30 a network that never saw two of them took one for the other now and then."""


class Hair(StrEnum):
    """How the hair is worn."""

    SHORT = "short"  # close, straight hairline
    PARTED = "parted"  # short, swept to one side
    QUIFF = "quiff"  # short, up at the front
    BUZZ = "buzz"  # a shadow of hair
    BALD = "bald"  # none
    CURLS = "curls"  # round and big
    BOB = "bob"  # to the chin, with a fringe
    LONG = "long"  # over the shoulders, parted in the middle
    WAVES = "waves"  # over the shoulders, wavy
    BUN = "bun"  # tied up
    SCARF = "scarf"  # under a headscarf


class Beard(StrEnum):
    """What grows on the face."""

    NONE = "none"
    STUBBLE = "stubble"  # a shadow
    MOUSTACHE = "moustache"
    GOATEE = "goatee"  # moustache and chin
    FULL = "full"


class Glasses(StrEnum):
    """What sits on the nose."""

    NONE = "none"
    ROUND = "round"
    SQUARE = "square"


SKINS: tuple[Colour, ...] = (
    (255, 224, 200),
    (247, 207, 176),
    (232, 184, 146),
    (208, 155, 113),
    (173, 118, 80),
    (132, 86, 58),
    (96, 61, 44),
)
HAIRS: tuple[Colour, ...] = (
    (34, 28, 30),
    (66, 44, 34),
    (104, 66, 40),
    (150, 84, 44),
    (186, 92, 46),
    (222, 182, 110),
    (156, 152, 154),
    (226, 222, 216),
)
SCARVES: tuple[Colour, ...] = (
    (70, 110, 140),
    (176, 92, 104),
    (96, 130, 104),
    (118, 96, 150),
    (206, 160, 96),
    (72, 76, 96),
    (196, 124, 84),
    (140, 150, 162),
)
IRISES: tuple[Colour, ...] = ((72, 46, 32), (110, 72, 40), (92, 110, 64), (74, 120, 152), (110, 124, 134))


@dataclass(frozen=True, kw_only=True)
class DrawnPerson:
    """One person: numbers run from 0 to 1, from the least to the most that the drawing knows."""

    skin: float
    face_width: float
    jaw: float
    chin: float
    hair: Hair
    hair_colour: int
    """Index into HAIRS, or SCARVES under a headscarf."""
    hair_side: float
    """Below 0.5 the hair is swept to the left."""
    eye_size: float
    eye_gap: float
    eye_tilt: float
    iris: int
    brow_weight: float
    brow_arch: float
    nose_width: float
    nose_length: float
    mouth_width: float
    lips: float
    lip_redness: float
    ears: float
    earrings: bool
    glasses: Glasses
    beard: Beard
    freckles: bool
    mole: float
    """Where a mole sits: below 0.6 nowhere, else a place on the cheeks or above the lip."""


_CATEGORY_WEIGHT = {
    "hair": 4.0,
    "hair_colour": 2.5,
    "glasses": 2.5,
    "beard": 2.5,
    "iris": 0.5,
    "freckles": 0.5,
    "earrings": 0.5,
}
_NUMBER_WEIGHT = {"skin": 4.0, "face_width": 2.0, "jaw": 1.5, "brow_weight": 1.5, "eye_size": 1.5, "nose_width": 1.5}
_TOTAL = sum(_CATEGORY_WEIGHT.get(field.name, _NUMBER_WEIGHT.get(field.name, 1.0)) for field in fields(DrawnPerson))


def distance(one: DrawnPerson, other: DrawnPerson) -> float:
    """Say how different two people look: 0 for the same, 1 for different in everything."""
    total = 0.0
    for field in fields(DrawnPerson):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name in _CATEGORY_WEIGHT:
            total += _CATEGORY_WEIGHT[field.name] * (mine != theirs)
        else:
            total += _NUMBER_WEIGHT.get(field.name, 1.0) * abs(mine - theirs)
    return total / _TOTAL


def draw_people(count: int, random_: random.Random, least_distance: float = LEAST_DISTANCE) -> list[DrawnPerson]:
    """Make up people, every two of which differ by a least `distance`.

    Raises:
        ValueError: so many different people cannot be found.
    """
    people: list[DrawnPerson] = []
    while len(people) < count:
        people.append(_new_person(people, random_, least_distance))
    return people


def _new_person(others: Sequence[DrawnPerson], random_: random.Random, least_distance: float) -> DrawnPerson:
    for _ in range(_TRIES):
        person = _any_person(random_)
        if all(distance(person, other) >= least_distance for other in others):
            return person
    raise ValueError(f"no {len(others) + 1} people can be drawn that are different enough; ask for fewer")


def _any_person(random_: random.Random) -> DrawnPerson:
    number = random_.random
    hair = random_.choice(list(Hair))
    bearded = (
        hair in (Hair.SHORT, Hair.PARTED, Hair.QUIFF, Hair.BUZZ, Hair.BALD, Hair.CURLS, Hair.BUN) and number() < 0.55
    )
    skin = number()
    traits: dict[str, Any] = {
        field.name: number() for field in fields(DrawnPerson) if field.type == "float" or field.type is float
    }
    return DrawnPerson(
        **{
            **traits,
            "skin": skin,
            "hair": hair,
            "hair_colour": random_.randrange(len(SCARVES)) if hair is Hair.SCARF else _hair_colour(skin, random_),
            "iris": random_.randrange(2) if skin > 0.6 else random_.randrange(len(IRISES)),
            "earrings": not bearded and hair is not Hair.SCARF and number() < 0.35,
            "glasses": random_.choices(list(Glasses), (5, 2, 2))[0],
            "beard": random_.choice(list(Beard)[1:]) if bearded else Beard.NONE,
            "freckles": skin < 0.5 and number() < 0.3,
        }
    )


def _hair_colour(skin: float, random_: random.Random) -> int:
    light = 0.35 if skin > 0.55 else 1.0
    return random_.choices(range(len(HAIRS)), (3, 2.4, 2 * light, 1.4 * light, light, 1.4 * light, 0.8, 0.6))[0]
