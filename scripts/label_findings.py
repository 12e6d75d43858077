"""What looks wrong among labelled photos, in words: the kinds, and the command that mends each."""

import shlex
from typing import Any

from scripts.output import show_count

KINDS = {
    "mislabelled": "looks like another person",
    "unlike": "looks like nobody of the people",
    "duplicate": "is nearly the same as another photo",
    "few_photos": "has few photos",
    "alike_photos": "has nothing but photos that are nearly the same",
}
"""What is said of a photo, or of a person, by kind."""
_COUNTED = {
    "mislabelled": ("photo that looks like another person", "photos that look like another person"),
    "unlike": ("photo unlike the others of its person", "photos unlike the others of their person"),
    "duplicate": ("near-duplicate", "near-duplicates"),
    "few_photos": ("person with few photos", "people with few photos"),
    "alike_photos": ("person whose photos are all alike", "people whose photos are all alike"),
}


def show_findings(findings: dict[str, Any]) -> str | None:
    """Say of a model how much of what it learned from looks wrong; None when nothing does."""
    counted = count_kinds(findings.get("by_kind") or {})
    return f"{counted}. Nothing was left out; list them with `facefleet people check`" if counted else None


def count_kinds(by_kind: dict[str, int]) -> str:
    """Return numbers of findings with their nouns."""
    return "; ".join(show_count(by_kind[kind], *words) for kind, words in _COUNTED.items() if by_kind.get(kind))


def mending(finding: dict[str, Any]) -> str:
    """Return the command that mends a finding."""
    if finding["photo"] is None:
        return "facefleet people import DIR"
    photo = shlex.quote(finding["photo"])
    if finding["suggested"] is not None:
        return f"facefleet label {photo} --is {shlex.quote(finding['suggested'])}"
    return f"facefleet label {photo} --ignore"
