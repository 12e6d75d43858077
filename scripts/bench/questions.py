"""What `facefleet bench query` asks of a made-up ledger: every filter of `facefleet results`, alone and together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from core.records import FaceOutcome, ItemOutcome
from db.result_filter import ResultFilter
from scripts.bench.outcomes import MadeUpLedger

_AGO = (
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=30),
    timedelta(days=80),
)
_CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
_OFTEN = 0.5
"""Share of the questions about somebody who is often seen; the others are about anybody."""

Draw = Callable[[MadeUpLedger, Random], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A filter as it is typed, asked with one value or another."""

    name: str
    draws: tuple[Draw, ...]

    def ask(self, ledger: MadeUpLedger, chance: Random) -> ResultFilter:
        """Return it with values by chance."""
        values: dict[str, Any] = {}
        for draw in self.draws:
            values |= draw(ledger, chance)
        return ResultFilter(**values)


def _job(ledger: MadeUpLedger, chance: Random) -> dict[str, Any]:
    """Return a job, a large one as likely as all small ones: pages of these are short."""
    sizes = sorted(ledger.jobs, key=lambda job: job.photos, reverse=True)
    return {"job_id": chance.choice(sizes[:20] if chance.random() < _OFTEN else sizes).id}


def _person(ledger: MadeUpLedger, chance: Random) -> dict[str, Any]:
    return {"person_id": chance.randint(1, 20 if chance.random() < _OFTEN else ledger.people)}


def _model(ledger: MadeUpLedger, chance: Random) -> dict[str, Any]:
    return {"model_id": chance.randint(1, ledger.models)}


def _since(ledger: MadeUpLedger, chance: Random) -> dict[str, Any]:
    return {"since": ledger.until - chance.choice(_AGO)}


def _confidence(_: MadeUpLedger, chance: Random) -> dict[str, Any]:
    return {"min_confidence": chance.choice(_CONFIDENCES)}


def _outcome(outcome: str) -> Draw:
    return lambda _ledger, _chance: {"outcome": outcome}


def _any_face(_: MadeUpLedger, chance: Random) -> dict[str, Any]:
    return {"outcome": chance.choice(list(FaceOutcome)).value}


OPTIONS: Mapping[str, Draw] = {
    "--job": _job,
    "--person": _person,
    "--outcome": _any_face,
    "--model": _model,
    "--since": _since,
    "--min-confidence": _confidence,
}
"""The filters of `facefleet results`, by their names there."""

_TOGETHER = (
    ("--job", "--person"),
    ("--job", "--outcome"),
    ("--job", "--model"),
    ("--job", "--since"),
    ("--job", "--min-confidence"),
    ("--person", "--model"),
    ("--person", "--since"),
    ("--person", "--min-confidence"),
    ("--outcome", "--model"),
    ("--outcome", "--since"),
    ("--outcome", "--min-confidence"),
    ("--model", "--since"),
    ("--model", "--min-confidence"),
    ("--since", "--min-confidence"),
    ("--job", "--outcome", "--min-confidence"),
    ("--person", "--since", "--min-confidence"),
)
_OUTCOMES = (*FaceOutcome, ItemOutcome.NO_FACE, ItemOutcome.ERROR)

QUESTIONS = (
    Question(name="all", draws=()),
    *(Question(name=option, draws=(draw,)) for option, draw in OPTIONS.items() if option != "--outcome"),
    *(Question(name=f"--outcome {outcome}", draws=(_outcome(outcome.value),)) for outcome in _OUTCOMES),
    Question(name="--job --outcome no_face", draws=(_job, _outcome(ItemOutcome.NO_FACE.value))),
    Question(name="--job --outcome error", draws=(_job, _outcome(ItemOutcome.ERROR.value))),
    *(Question(name=" ".join(options), draws=tuple(OPTIONS[option] for option in options)) for options in _TOGETHER),
)
