"""The error tree: stable codes, and a picture of it that is true."""

import re
from collections.abc import Iterator

import core.errors
from core.errors import FacefleetError, InputError, ModelError, PhotoError, ServiceError


def descendants(error: type[FacefleetError]) -> Iterator[type[FacefleetError]]:
    for child in error.__subclasses__():
        if child.__module__ == "core.errors":
            yield child
            yield from descendants(child)


def leaves() -> list[type[FacefleetError]]:
    return [error for error in descendants(FacefleetError) if not error.__subclasses__()]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in (FacefleetError, *descendants(FacefleetError))]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_codes_fit_into_the_column_that_keeps_them() -> None:
    assert max(len(error.code) for error in leaves()) <= 40


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    trail: list[str] = []
    for indent, name in re.findall(r"^( *(?:[│├└─]| (?=[│├└ ]))*) *(\w+Error)\b", core.errors.__doc__ or "", re.M):
        depth = len(indent.rstrip()) // 4
        trail[depth:] = [name]
        drawn[name] = trail[depth - 1] if depth else ""
    drawn.pop("FacefleetError")
    assert drawn == {error.__name__: error.__bases__[0].__name__ for error in descendants(FacefleetError)}


def test_every_error_is_explained() -> None:
    for error in descendants(FacefleetError):
        assert (error.__doc__ or "").endswith(".")


def test_the_message_is_what_was_said() -> None:
    assert InputError("The folder is empty. Nothing was submitted.").message.startswith("The folder is empty.")


def test_only_what_may_pass_is_tried_again() -> None:
    again = {error.code for error in descendants(FacefleetError) if error.retry}
    assert again == {
        "source_unreachable",
        "service_unreachable",
        "redis_unreachable",
        "redis_refused",
        "database_unreachable",
        "database_full",
        "disk_full",
        "artifacts_unreachable",
        "weights_unreachable",
        "model_too_large_for_memory",
    }
    assert not any(error.retry for error in (InputError, PhotoError, ModelError))
    assert ServiceError.retry
