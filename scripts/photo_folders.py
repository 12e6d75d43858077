"""The photos of folders that a person names: DIR/<person>/<image>, and photos of nobody in particular."""

import os
import posixpath
from pathlib import Path

from core.errors import EmptySourceError, InputError
from core.images.uris import LocalUri, MemberUri, parse_uri, photo_name
from core.records import SkipLog


def find_labelled(folder: Path) -> dict[str, list[str]]:
    """Return the photos of each person's folder, by the folder's name.

    Raises:
        InputError: there is no such folder, or none with photos in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Nothing was measured. Name one that holds DIR/<person>/<image>.")
    root = folder / "test" if (folder / "test").is_dir() and (folder / "train").is_dir() else folder
    inside = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    found = {each.name: photos for each in inside if (photos := _photos_below(each))}
    if not found:
        raise InputError(f"{root} holds no folder with photos. Nothing was measured. Make it {root}/<person>/<image>.")
    return found


def find_photos(folder: Path) -> list[str]:
    """Return all photos of a folder, at any depth.

    Raises:
        InputError: there is no photo.
    """
    photos = _photos_below(folder) if folder.is_dir() else []
    if not photos:
        raise InputError(f"{folder} is no folder with photos. Nothing was measured. Name one that holds some.")
    return photos


def find_strangers(folder: Path) -> dict[str, list[str]]:
    """Return the photos of each stranger: those of one folder, or one file of DIR itself, show one person.

    Returns:
        URIs by the folder's path below DIR, or by the file's name.

    Raises:
        InputError: there is no photo.
    """
    found: dict[str, list[str]] = {}
    for uri in find_photos(folder):
        found.setdefault(_stranger(folder, uri), []).append(uri)
    return found


def _stranger(folder: Path, uri: str) -> str:
    """Name whom a photo shows: its folder, or itself where it lies in no folder below DIR."""
    parsed = parse_uri(uri)
    if isinstance(parsed, MemberUri):
        path = f"{photo_name(uri.rpartition('::')[2])}/{parsed.member}"
    else:
        path = os.path.relpath(parsed.path if isinstance(parsed, LocalUri) else uri, folder.absolute())
    return posixpath.dirname(path) or path


def _photos_below(folder: Path) -> list[str]:
    from core.images.sources import walk_sources

    try:
        return list(walk_sources([str(folder)], SkipLog()))
    except EmptySourceError:
        return []
