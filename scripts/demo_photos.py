"""Sorts the demo's photos: which are learned from, which are tried, which show strangers. Opens no photo."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import EmptySourceError, InputError, PersonNameError, SourceNotFoundError
from core.images.folders import natural_key, walk_folder
from core.images.skips import why_folder_skipped
from core.images.uris import local_uri
from core.records import SkipLog, Skipped
from db.people import clean_name

_MOST_SKIPPED = 1000
TRAIN, TEST, STRANGERS = "train", "test", "strangers"
_LAYOUT = (
    "Give a folder that holds one folder of photos for each person: DIR/<person>/<image>, at least two people with two "
    "photos each. Photos of other people may lie in DIR/strangers."
)


@dataclass(frozen=True, kw_only=True)
class DemoPhotos:
    """What the demo learns from and what it is tried on."""

    train_folder: Path
    """Holds a folder a person with the photos to learn from."""
    train_count: int
    probes: Mapping[str, str]
    """URI of a photo that is not learned from -> name of the person it shows."""
    strangers: tuple[str, ...]
    """URIs of photos of people who are not learned."""
    skipped: tuple[Skipped, ...] = ()
    """What was passed over, the first thousand."""
    originals: Mapping[str, str] = field(default_factory=dict)
    """Where the photos of `train_folder` come from, by their path in it; empty where they lie there themselves."""
    source: str
    """Where they are from, for people."""
    drawn: bool = False
    """Whether the faces are made up."""

    @property
    def tried(self) -> int:
        """How many photos the model is tried on."""
        return len(self.probes) + len(self.strangers)


def sort_photos(folder: Path, staging: Path) -> DemoPhotos:
    """Sort the photos of a folder.

    A folder that holds `train` is taken as it is: `train` is learned from, `test` is tried. In any other, the first
    half of each person's photos (in natural order, rounded up) is learned from and the rest is tried. A folder
    `strangers` holds people who are not learned, and so does a folder of `test` that has no namesake in `train`.

    Args:
        folder: the user's photos; only read.
        staging: a folder to link the photos to learn from in; made when needed.

    Raises:
        InputError: there are too few people or photos for a demo.
    """
    if not folder.is_dir():
        is_file = "is a file, not a folder" if folder.exists() else "does not exist"
        raise SourceNotFoundError(f"{folder} {is_file}. Nothing was done. {_LAYOUT}")
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - `..` textually, as sources are resolved
    skips = SkipLog(keep=_MOST_SKIPPED)
    given = _subfolders(folder, skips)
    return _take_split(folder, given, skips) if TRAIN in given else _split_halves(folder, given, staging, skips)


def _take_split(folder: Path, given: Mapping[str, Path], skips: SkipLog) -> DemoPhotos:
    """Take train/, test/ and strangers/ as they are."""
    train = _photos_by_person(given[TRAIN], skips)
    tried = _photos_by_person(given[TEST], skips) if TEST in given else {}
    known = {_shown_name(name) for name in train}
    unknown = [path for name, paths in tried.items() if _shown_name(name) not in known for path in paths]
    return _checked(
        folder,
        people=len(train),
        photos=DemoPhotos(
            train_folder=given[TRAIN],
            train_count=sum(map(len, train.values())),
            probes={
                local_uri(path): _shown_name(name)
                for name, paths in tried.items()
                if _shown_name(name) in known
                for path in paths
            },
            strangers=(*map(local_uri, unknown), *_strangers(given, skips)),
            skipped=tuple(skips.first),
            source=str(folder),
        ),
    )


def _split_halves(folder: Path, given: Mapping[str, Path], staging: Path, skips: SkipLog) -> DemoPhotos:
    """Learn from the first half of each person's photos, try the rest."""
    _note_loose_files(folder, skips)
    people = {name: paths for name, at in given.items() if name != STRANGERS and (paths := _photos(at, skips))}
    probes: dict[str, str] = {}
    originals: dict[str, str] = {}
    for name, paths in people.items():
        half = (len(paths) + 1) // 2
        originals |= _link(paths[:half], staging / name)
        probes |= dict.fromkeys(map(local_uri, paths[half:]), _shown_name(name))
    return _checked(
        folder,
        people=len(people),
        photos=DemoPhotos(
            train_folder=staging,
            train_count=len(originals),
            probes=probes,
            strangers=_strangers(given, skips),
            skipped=tuple(skips.first),
            source=str(folder),
            originals=originals,
        ),
    )


def _checked(folder: Path, people: int, photos: DemoPhotos) -> DemoPhotos:
    """Return the photos when a demo can be made of them."""
    if not photos.train_count:
        raise EmptySourceError(f"There is no photo of a person in {folder}. Nothing was done. {_LAYOUT}")
    if people < 2:
        raise InputError(
            f"There are photos of one person only in {folder}. Telling people apart takes two or more. "
            f"Nothing was done. {_LAYOUT}"
        )
    if not photos.probes:
        raise InputError(
            f"No photo in {folder} is left to try the model on: everybody has one photo only, or there is a folder "
            f"`train` and no photo of the same people in a folder `test`. Nothing was done. {_LAYOUT}"
        )
    return photos


def _photos_by_person(folder: Path, skips: SkipLog) -> dict[str, list[str]]:
    _note_loose_files(folder, skips)
    return {name: paths for name, at in _subfolders(folder, skips).items() if (paths := _photos(at, skips))}


def _photos(folder: Path, skips: SkipLog) -> list[str]:
    """The paths of the photos below a folder, in natural order."""
    paths = list(walk_folder(str(folder), skips))
    if not paths:
        skips.add(str(folder), "a folder without a photo")
    return paths


def _strangers(given: Mapping[str, Path], skips: SkipLog) -> tuple[str, ...]:
    return tuple(map(local_uri, _photos(given[STRANGERS], skips))) if STRANGERS in given else ()


def _subfolders(folder: Path, skips: SkipLog) -> dict[str, Path]:
    """The folders of a folder by name, in natural order."""
    found: dict[str, Path] = {}
    for path in sorted(_entries(folder), key=lambda path: natural_key(path.name)):
        if path.is_dir():
            if why := why_folder_skipped(path.name):
                skips.add(str(path), why)
            else:
                found[path.name] = path
    return found


def _note_loose_files(folder: Path, skips: SkipLog) -> None:
    """Note the files that lie in no person's folder."""
    for path in sorted(_entries(folder), key=lambda path: natural_key(path.name)):
        if not path.is_dir() and not path.name.startswith("."):
            skips.add(str(path), "a file in no person's folder")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceNotFoundError(
            f"The folder {folder} cannot be read: {error.strerror}. Nothing was done. Change its permissions."
        ) from error


def _link(photos: list[str], folder: Path) -> dict[str, str]:
    """Link photos into a new folder under numbers that keep their order; return link -> photo."""
    folder.mkdir(parents=True)
    links: dict[str, str] = {}
    for number, photo in enumerate(photos):
        link = folder / f"{number:06d}{Path(photo).suffix}"
        link.symlink_to(photo)
        links[str(link)] = photo
    return links


def _shown_name(folder_name: str) -> str:
    """The name under which a person's folder is imported; a name that cannot be imported stays as it is."""
    try:
        return clean_name(folder_name)
    except PersonNameError:
        return folder_name
