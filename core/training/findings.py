"""What looks wrong among the labelled photos, in the words of a model's metrics: JSON, with names, bounded."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.records import Example, PersonClass
from core.training.hygiene import Finding, find_problems
from core.training.request import SkippedPhoto

FINDINGS_KEPT = 50
"""Findings that are named in a model's metrics; their numbers are kept in full."""


def describe_labels(
    examples: Sequence[Example],
    skipped: Sequence[SkippedPhoto],
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: Sequence[PersonClass],
) -> dict[str, Any]:
    """Look at the photos of a training, and say what looks wrong: `count`, `by_kind`, and the `first` findings.

    Args:
        examples: what was to be learned from.
        skipped: those of them that could not be used.
        vectors (float32 [N, D]): the others' embeddings, in the order of the examples.
        labels (int64 [N]): their classes.
        classes: whom those stand for.
    """
    photos = kept_examples(examples, skipped, labels.tolist())
    findings = find_problems(vectors, labels)
    return {
        "count": len(findings),
        "by_kind": dict(Counter(finding.kind.value for finding in findings).most_common()),
        "first": [as_json(finding, photos, classes) for finding in findings[:FINDINGS_KEPT]],
    }


def kept_examples(examples: Sequence[Example], skipped: Sequence[SkippedPhoto], labels: Sequence[int]) -> list[Example]:
    """Return the examples that were not skipped, one for each label.

    A photo may stand there once for each of its faces, and one of these be skipped: labels tell which.
    """
    skips = Counter(photo.uri for photo in skipped)
    left = Counter(example.uri for example in examples)
    kept: list[Example] = []
    for example in examples:
        must_skip = skips[example.uri] == left[example.uri]
        fits = len(kept) < len(labels) and example.class_index == labels[len(kept)]
        left[example.uri] -= 1
        if skips[example.uri] and (must_skip or not fits):
            skips[example.uri] -= 1
        else:
            kept.append(example)
    return kept


def as_json(finding: Finding, photos: Sequence[Example], classes: Sequence[PersonClass]) -> dict[str, Any]:
    """Return a finding with names and URIs instead of numbers."""

    def uri(row: int | None) -> str | None:
        return None if row is None else photos[row].uri

    suggested = None if finding.suggested is None else classes[finding.suggested].name
    return {
        "kind": finding.kind.value,
        "person": classes[finding.person].name,
        "photo": uri(finding.photo),
        "similarity": _rounded(finding.similarity),
        "suggested": suggested,
        "suggested_similarity": _rounded(finding.suggested_similarity),
        "like": uri(finding.like),
    }


def _rounded(similarity: float | None) -> float | None:
    return None if similarity is None else round(similarity, 4)
