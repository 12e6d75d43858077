"""Importing labelled photos out of folders named after people. What cannot be used is listed; the rest goes in.

Reads and decodes each photo once; stores its URI, its hash and its label, never its pixels. Light: no torch, no queue.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from core.clock import Clock, utc_now
from core.errors import FacefleetError, InputError, LabelConflictError, PhotoTooSlowError, SourceNotFoundError
from core.images.decode import DecodeLimits, decode_photo
from core.images.folders import natural_key, walk_folder
from core.images.read import PhotoReader
from core.images.uris import local_uri
from core.prefetch import Prefetcher
from core.records import SkipLog, Skipped, Split, Verdict
from core.settings import Settings
from db import labels, people
from db.engine import Database
from db.labels import ImportWeight
from db.tables import Person, Photo

_CHECK_AT_PX = 160
"""Photos are decoded at about this size: enough to find what is broken, and quick."""

_AHEAD = 32
"""Photos read ahead: bounds the memory."""

_STRANGERS_AT_ONCE = 100
"""Photos of strangers in one transaction: workers wait for it with what they store."""

MOST_SKIPPED = 100
"""Files passed over that are named, for each person."""

OnProgress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class FailedPhoto:
    """A photo or folder that was not imported, and why."""

    path: str
    code: str
    """A stable code out of docs/errors.md."""
    message: str


@dataclass(kw_only=True)
class ImportReport:
    """What an import did."""

    people: int = 0
    """People of whom this folder held a usable photo."""
    photos_added: int = 0
    photos_known: int = 0
    """Photos that were imported before, under the same name."""
    photos_kept: int = 0
    """Photos of which somebody has said otherwise since: that stays."""
    failed: list[FailedPhoto] = field(default_factory=list)
    """What was not imported: bad photos, names that cannot be, photos under two names."""
    skipped: list[Skipped] = field(default_factory=list)
    """What was passed over: files beside the people's folders, files that are no photos."""


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A photo that was read and decoded, or what is wrong with it."""

    path: str
    sha256: str = ""
    error: FacefleetError | None = None


def import_people(
    database: Database,
    settings: Settings,
    folder: Path,
    split: Split | None,
    author: str,
    on_progress: OnProgress | None = None,
    *,
    clock: Clock = utc_now,
) -> ImportReport:
    """Import DIR/<person>/<image>; a DIR that holds train/ and test/ imports both.

    Args:
        database: the ledger.
        settings: limits of photos.
        folder: DIR.
        split: what the photos are for; None: as DIR/train and DIR/test say, else for training.
        author: who says so.
        on_progress: told how many photos have been looked at so far.
        clock: the time.

    Raises:
        SourceNotFoundError: there is no such folder, or nobody's folder in it; nothing was imported.
        DatabaseUnreachableError: the people imported so far stay.
    """
    importer = _Importer(database, settings, author, on_progress, clock)
    folder = folder.absolute()
    places = list(_person_folders(folder, split, importer.report))
    if not places:
        raise SourceNotFoundError(
            f"{folder} holds no folder with a person's name. Nothing was imported. "
            f"Sort the photos into {folder}/<person>/<photo> and try again."
        )
    with closing(importer):
        for person_folder, part in places:
            importer.import_person(person_folder, part)
    return importer.report


def import_strangers(
    database: Database,
    settings: Settings,
    folder: Path,
    split: Split | None,
    author: str,
    on_progress: OnProgress | None = None,
    *,
    clock: Clock = utc_now,
) -> ImportReport:
    """Import the photos in a folder and below as photos of people who must get no name.

    Args:
        database: the ledger.
        settings: limits of photos.
        folder: flat or nested; what its folders are called means nothing.
        split: what the photos are for; None: to learn from, which is to choose the reject rule by them.
        author: who says so.
        on_progress: told how many photos have been looked at so far.
        clock: the time.

    Raises:
        SourceNotFoundError: there is no such folder; nothing was imported.
        DatabaseUnreachableError: what was imported so far stays.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise SourceNotFoundError(f"There is no folder {folder}. Nothing was imported. Check the path.")
    importer = _Importer(database, settings, author, on_progress, clock)
    with closing(importer):
        importer.import_strangers(folder, split or Split.TRAIN)
    return importer.report


class _Importer:
    """One import under way."""

    def __init__(
        self, database: Database, settings: Settings, author: str, on_progress: OnProgress | None, clock: Clock
    ) -> None:
        self.report = ImportReport()
        self._database = database
        self._author = author
        self._on_progress = on_progress
        self._clock = clock
        self._reader = PhotoReader.from_settings(settings)
        self._limits = DecodeLimits.from_settings(settings)
        self._threads = Prefetcher(threads=settings.read_threads, ahead=_AHEAD, timeout_s=settings.photo_timeout_s)
        self._person_ids: set[int] = set()
        self._looked_at = 0

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()

    def import_person(self, folder: Path, split: Split) -> None:
        """Import one person's folder in one transaction."""
        try:
            people.clean_name(folder.name)
            good = list(self._check(folder))
            if good:
                self._store(folder.name, good, split)
        except InputError as error:
            self._fail(str(folder), error)

    def import_strangers(self, folder: Path, split: Split) -> None:
        """Import photos of nobody who can be named, some in one transaction."""
        good = self._check(folder)
        while page := list(islice(good, _STRANGERS_AT_ONCE)):
            self._store(None, page, split)

    def _check(self, folder: Path) -> Iterator[_Checked]:
        """Read and decode photos, a few at once; note the bad ones and yield the others."""
        skipped = SkipLog(keep=MOST_SKIPPED)
        photos = self._threads.map(self._look_at, self._too_slow, walk_folder(str(folder), skipped), lambda: None)
        with closing(photos):
            for photo in photos:
                self._looked_at += 1
                if self._on_progress is not None:
                    self._on_progress(self._looked_at)
                if photo.error is None:
                    yield photo
                else:
                    self._fail(photo.path, photo.error)
        self.report.skipped += skipped.first

    def _look_at(self, path: str) -> _Checked:
        """Read a photo whole; called on a thread."""
        try:
            data = self._reader.read(local_uri(path))
            decode_photo(data, self._limits, reduce_to_px=_CHECK_AT_PX)
        except FacefleetError as error:
            return _Checked(path=path, error=error)
        return _Checked(path=path, sha256=hashlib.sha256(data).hexdigest())

    def _too_slow(self, path: str) -> _Checked:
        error = PhotoTooSlowError(
            f"Reading and decoding {path} took longer than {self._limits.timeout_s:g} s. It was not imported. "
            f"Check the disk it lies on, or raise FACEFLEET_PHOTO_TIMEOUT_S, and import the folder again."
        )
        return _Checked(path=path, error=error)

    def _store(self, name: str | None, photos: list[_Checked], split: Split) -> None:
        """Label photos, all in one transaction; the counts follow when it is committed.

        Args:
            name: whom they show; None: nobody who can be named.
            photos: good ones.
            split: what they are for.
        """
        counts, conflicts = Counter[ImportWeight](), list[tuple[str, LabelConflictError]]()
        with self._database.write() as session:
            person = None if name is None else people.get_or_add_person(session, name, self._clock())
            new = self._label_new(session, person, photos, split)
            counts[ImportWeight.NEW] += len(new)
            for photo in photos:
                if new.pop(photo.sha256, None) == photo.path:
                    continue
                try:
                    counts[self._label(session, person, photo, split)] += 1
                except LabelConflictError as error:
                    conflicts.append((photo.path, error))
        for path, conflict in conflicts:
            self._fail(path, conflict)
        self.report.photos_added += counts[ImportWeight.NEW]
        self.report.photos_known += counts[ImportWeight.KNOWN]
        self.report.photos_kept += counts[ImportWeight.CORRECTED]
        if person is not None:
            self._person_ids.add(person.id)
        self.report.people = len(self._person_ids)

    def _label_new(
        self, session: Session, person: Person | None, photos: list[_Checked], split: Split
    ) -> dict[str, str]:
        """Label the photos that nobody ever spoke of, all at once; return their paths by sha256."""
        first: dict[str, str] = {}
        for photo in photos:
            first.setdefault(photo.sha256, photo.path)
        uris = {sha256: local_uri(path) for sha256, path in first.items()}
        added = labels.label_new_photos(
            session, uris, person=person, split=split, author=self._author, now=self._clock()
        )
        return {sha256: path for sha256, path in first.items() if sha256 in added}

    def _label(self, session: Session, person: Person | None, photo: _Checked, split: Split) -> ImportWeight:
        """Label one photo, unless somebody has said otherwise of it.

        Raises:
            LabelConflictError: the same photo is known as another person's, or for the other purpose.
        """
        weight = labels.weigh_import(session, photo.sha256, person)
        if weight is ImportWeight.CORRECTED:
            return weight
        known = labels.find_photo(session, photo.sha256)
        there = known is not None and Path(known.uri).exists()
        if known is not None:
            if weight is ImportWeight.KNOWN and there and known.split == split:
                return weight
            _check_agrees(session, known, person, split)
        labels.label_photo(
            session,
            person=person,
            verdict=Verdict.IS if person else Verdict.IS_NOT,
            sha256=photo.sha256,
            uri=known.uri if known is not None and there else local_uri(photo.path),
            split=split,
            author=self._author,
            now=self._clock(),
        )
        return weight

    def _fail(self, path: str, error: FacefleetError) -> None:
        self.report.failed.append(FailedPhoto(path=path, code=error.code, message=error.message))


def _check_agrees(session: Session, photo: Photo, person: Person | None, split: Split) -> None:
    """Refuse to label a photo as somebody else's, or for the other purpose.

    Raises:
        LabelConflictError: that is what was asked.
    """
    faces = people.find_labelled(session, photo.sha256)
    wanted = None if person is None else people.shown_id(session, person)
    if faces and all(face.person_id != wanted for face in faces):
        what = "imported as a stranger's" if person is None else f"labelled {person.name!r}"
        raise LabelConflictError(
            f"The same photo is labelled {faces[0].person!r} already ({photo.uri}). It was not {what}. "
            f"Find out whom it shows and remove it from the other folder."
        )
    if photo.split != split:
        raise LabelConflictError(
            f"The same photo is imported for {photo.split} already ({photo.uri}). It was not imported for {split}: "
            f"figures made from photos that were learned from say nothing. Remove one of the two."
        )


def _person_folders(folder: Path, split: Split | None, report: ImportReport) -> Iterator[tuple[Path, Split]]:
    """Yield the people's folders with what their photos are for; note what lies beside them."""
    if not folder.is_dir():
        raise SourceNotFoundError(f"There is no folder {folder}. Nothing was imported. Check the path.")
    parts = {part: folder / part for part in Split if (folder / part).is_dir()} if split is None else {}
    if not parts:
        yield from ((place, split or Split.TRAIN) for place in _folders_in(folder, report, frozenset()))
        return
    for part, place in parts.items():
        yield from ((person, part) for person in _folders_in(place, report, frozenset()))
    for beside in _folders_in(folder, report, frozenset(parts)):
        report.skipped.append(Skipped(name=str(beside), reason="beside train/ and test/"))


def _folders_in(folder: Path, report: ImportReport, ignored: frozenset[str]) -> list[Path]:
    """Return the folders in a folder in natural order; note the files among them."""
    try:
        found = sorted((entry.name, entry.is_dir()) for entry in os.scandir(folder))
    except OSError as error:
        raise SourceNotFoundError(
            f"The folder {folder} cannot be read ({error.strerror}). Nothing more was imported. Check its permissions."
        ) from error
    visible = [(name, is_folder) for name, is_folder in found if not name.startswith(".") and name not in ignored]
    report.skipped += [
        Skipped(name=str(folder / name), reason="not in a person's folder")
        for name, is_folder in visible
        if not is_folder
    ]
    return [folder / name for name in sorted((name for name, is_folder in visible if is_folder), key=natural_key)]
