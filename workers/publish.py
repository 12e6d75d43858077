"""The end of a training run: the artifact is stored and judged; then one transaction does the rest.

It registers the model, activates it if it may be or rejects it, and ends the run.
"""

import json
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.clock import Clock
from core.errors import ActivationConflictError
from core.records import ModelState, RunState
from db import registry, runs
from db.ids import model_version
from db.runs import RunLease
from db.tables import Model
from workers.judge import Judgement, Judging, judge
from workers.pulse import SlotReporter
from workers.retry import retry_database

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_log = logging.getLogger(__name__)

_TRIES = 5
"""Of judging anew, as another model was activated meanwhile."""
_GATE = "the gate"


def publish(lease: RunLease, staged: Path, judging: Judging, reporter: SlotReporter, clock: Clock) -> None:
    """Store a model, judge it, register it, and activate it if that was asked for and it is not worse.

    Args:
        lease: on the run.
        staged: the artifact.
        judging: what it is judged by.
        reporter: says that work advanced.
        clock: the time.

    Raises:
        LeaseLostError: another trainer owns the run; nothing was registered.
        ActivationConflictError: other models were activated all the time.
        ArtifactStoreError: the store cannot be written.
        ArtifactsUnreachableError: it did not answer.
        DatabaseUnreachableError: the ledger stayed away.
    """
    from core.models.store import ModelStore

    sha256 = ModelStore.from_settings(judging.settings).put(staged)
    for attempt in range(1, _TRIES + 1):
        judgement = judge(judging)
        try:
            return retry_database(partial(_register, lease, sha256, judging, judgement, reporter, clock))
        except ActivationConflictError as error:
            if attempt == _TRIES:
                raise
            _log.info("%s", error)
    return None


def _register(
    lease: RunLease, sha256: str, judging: Judging, judgement: Judgement, reporter: SlotReporter, clock: Clock
) -> None:
    now = clock()
    with judging.database.write() as session:
        parent = registry.serving_model(session)
        model = registry.register_model(
            session,
            sha256=sha256,
            manifest=json.loads(judging.manifest.to_json()),
            run_id=lease.run_id,
            parent_id=parent.model_id if parent else None,
            gate=judgement.document,
            now=now,
        )
        if lease.options.get("activate", True):
            reason = _settle(session, lease, model, judgement, clock)
        else:
            version = model_version(model.id)
            reason = f"{version} was registered and not activated, as asked. {judgement.reason}"
        activated = model.state == ModelState.ACTIVE
        runs.finish_run(session, lease, RunState.SUCCEEDED, now=now, reason=reason, activated=activated)
        reporter.write(session, advanced=True)


def _settle(session: "Session", lease: RunLease, model: Model, judgement: Judgement, clock: Clock) -> str:
    """Activate a model, or reject it; return why.

    Raises:
        ActivationConflictError: it was judged against a model that serves no longer.
    """
    version = model_version(model.id)
    if judgement.passed:
        registry.activate_model(
            session,
            model,
            who=str(lease.options.get("who", "trainer")),
            why=f"trained by run {lease.public_id}. {judgement.reason}",
            now=clock(),
            expected=judgement.generation,
        )
        return judgement.reason
    registry.require_generation(session, model, judgement.generation)
    registry.reject_model(session, model, who=_GATE, why=judgement.reason, now=clock())
    return (
        f"{judgement.reason} {judgement.document['against']} goes on serving. "
        f"To let {version} serve all the same: facefleet model activate {version} --force"
    )
