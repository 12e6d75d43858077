"""What crosses the boundaries between sources, pipeline, ledger and commands: closed sets and frozen records."""

from dataclasses import dataclass, field
from enum import StrEnum


class ItemOutcome(StrEnum):
    """How one submitted photo ended."""

    FACES = "faces"  # at least one face was found; each has an outcome of its own
    NO_FACE = "no_face"  # the photo was read and holds no face
    ERROR = "error"  # the photo could not be used; code and message say why


class FaceOutcome(StrEnum):
    """What was decided about one face."""

    IDENTIFIED = "identified"  # the similarity passes the model's reject rule: a name is given
    UNKNOWN = "unknown"  # nobody in the gallery is similar enough
    AMBIGUOUS = "ambiguous"  # two people are too close to tell apart
    LOW_QUALITY = "low_quality"  # the face is below the quality gate; the reasons say how


class FacesMode(StrEnum):
    """What the submitted photos are."""

    DETECT = "detect"  # photographs: find the faces in them
    CROP = "crop"  # each photo is one face already


class EngineKind(StrEnum):
    """What may compute a model's network on a CPU."""

    TORCH = "torch"  # torch alone
    OPENVINO = "openvino"  # OpenVINO too, where it is faster and answers right


class JobState(StrEnum):
    """Where a job stands."""

    SUBMITTING = "submitting"  # its items are still being inserted; nothing of it runs
    RUNNING = "running"  # its chunks are queued or claimed
    PAUSED = "paused"  # no chunk of it is claimed until it is resumed
    DONE = "done"  # every item has its outcome
    CANCELLED = "cancelled"  # stopped by a person; what had no outcome has the error `cancelled`


class ChunkState(StrEnum):
    """Where a chunk stands."""

    QUEUED = "queued"  # waits for a worker
    CLAIMED = "claimed"  # a worker holds its lease
    DONE = "done"  # the results of all its items are stored
    DEAD = "dead"  # given up; its items have error outcomes


class AttemptEnd(StrEnum):
    """How a process ended that had not finished its chunk, as its parent saw it or as it said itself."""

    HUNG = "hung"  # its watchdog ended it: nothing went forward
    KILLED = "killed"  # SIGKILL: the system was out of memory, or a person did it
    CRASHED = "crashed"  # another signal, or it left on its own
    DEVICE = "device"  # its accelerator failed over this chunk, and over no other before or after
    OUTAGE = "outage"  # its accelerator failed over other chunks too: none of them is to blame


class RunState(StrEnum):
    """Where a training run stands."""

    QUEUED = "queued"  # waits for a trainer
    RUNNING = "running"  # a trainer holds its lease
    SUCCEEDED = "succeeded"  # gave a registered model
    FAILED = "failed"  # gave none; the reason is recorded
    CANCELLED = "cancelled"  # stopped by a person


class ModelState(StrEnum):
    """Where a model version stands."""

    CANDIDATE = "candidate"  # registered, not serving
    SHADOW = "shadow"  # stands beside the active one: scores a share of the chunks, or decides it
    ACTIVE = "active"  # serving
    RETIRED = "retired"  # served once
    REJECTED = "rejected"  # judged and refused


class Agreement(StrEnum):
    """What a model that stands beside the active one says of a face, compared with what that one says."""

    SAME = "same"  # the same name, or none
    RENAMED = "renamed"  # another name
    GAINED = "gained"  # a name where the active one gives none
    LOST = "lost"  # no name where the active one gives one
    UNSEEN = "unseen"  # it did not find the face
    FOUND = "found"  # the active one did not find the face


class Verdict(StrEnum):
    """What a person says of a face or photo."""

    IS = "is"  # this is that person
    IS_NOT = "is_not"  # this is not that person
    NOT_A_FACE = "not_a_face"  # this shows no face
    IGNORE = "ignore"  # leave this out of everything


class Split(StrEnum):
    """What a labelled photo is for."""

    TRAIN = "train"  # the network and the gallery are made from it
    TEST = "test"  # only the figures are made from it


@dataclass(frozen=True, kw_only=True)
class ErrorRecord:
    """Why a photo has no faces to show."""

    code: str
    """A stable code out of docs/errors.md."""
    message: str
    """What happened, what it means, what to do."""


@dataclass(frozen=True, kw_only=True)
class RankedPerson:
    """One line of a face's ranking."""

    person_id: int
    similarity: float
    """To the person, -1..1."""


@dataclass(frozen=True, kw_only=True)
class FaceEmbedding:
    """A face's embedding, in a form that another model of the same backbone can be asked about. Biometric data."""

    backbone_sha256: str
    """Of the weights that made it: embeddings of different ones cannot be compared."""
    vector: bytes
    """float16 [D], little-endian, as long as core.faces.lengths says."""


@dataclass(frozen=True, kw_only=True)
class LearnedFace:
    """What the face of a labelled photo is to a backbone: its embedding, or why it has none. Biometric data."""

    vector: bytes | None
    """float32 [D], little-endian, as long as core.faces.lengths says."""
    error: ErrorRecord | None = None
    """Set exactly when there is no vector."""


@dataclass(frozen=True, kw_only=True)
class FaceResult:
    """One face of a photo and what was decided about it."""

    index: int
    """Number within the photo: left to right, then top to bottom, from 0."""
    box_xyxy_px: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels of the upright original photo, 0 <= x1 < x2, 0 <= y1 < y2."""
    landmarks_px: tuple[tuple[float, float], ...]
    """Eyes, nose, mouth corners as (x, y) in pixels of the upright original; empty in crop mode."""
    quality: float | None
    """0..1, higher is better; None where nothing measured it (crop mode)."""
    quality_reasons: tuple[str, ...]
    """Reason codes of the quality gate; empty when it passed."""
    outcome: FaceOutcome
    person_id: int | None
    """Whose face it is. Set only when the outcome is `identified`."""
    candidate_id: int | None
    """The nearest person, also when refused."""
    similarity: float | None
    """Similarity to the nearest person, -1..1."""
    confidence: float | None
    """Calibrated probability that the nearest person is right, 0..1."""
    top_k: tuple[RankedPerson, ...] = ()
    """The nearest people, most similar first."""
    embedding: FaceEmbedding | None = None
    """None when the backbone was trained with the model: its embeddings mean nothing to another."""


@dataclass(frozen=True, kw_only=True)
class PhotoTask:
    """A photo to look at."""

    ordinal: int
    """Its place in the job, from 0."""
    uri: str
    """Where its bytes are."""


@dataclass(frozen=True, kw_only=True)
class PhotoResult:
    """The one outcome of one photo."""

    ordinal: int
    uri: str
    outcome: ItemOutcome
    sha256: str | None
    """Of the file's bytes; None when they could not be read."""
    width_px: int | None
    height_px: int | None
    """Size of the upright original; None when it was not decoded."""
    faces: tuple[FaceResult, ...] = ()
    error: ErrorRecord | None = None
    """Set exactly when the outcome is `error`."""


@dataclass(frozen=True, kw_only=True)
class PersonClass:
    """One class of a classifier."""

    person_id: int
    name: str
    """The name when the model was trained; the database knows the current one."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One labelled photo of a training or test set."""

    uri: str
    class_index: int
    """Index into the list of classes; -1 for a stranger."""
    not_classes: tuple[int, ...] = ()
    """Classes that a stranger was once taken for and is not: what training learns to keep away from them."""
    sha256: str | None = None
    """Of the file's bytes when it was imported."""
    box_xyxy_px: tuple[float, float, float, float] | None = None
    """Which of its faces is meant, in pixels of the upright original; None for its only one."""
    shows: int | None = None
    """Of a stranger in a test photo, the person's id where that is known: another model may know them."""


@dataclass(frozen=True, kw_only=True)
class EpochProgress:
    """What one epoch of training showed."""

    epoch: int
    """From 1."""
    epochs: int
    """How many are planned; early stopping may end sooner."""
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    """On the held-out part of the training photos; None where there are too few to hold out."""
    learning_rate: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something a source held that was passed over, and why."""

    name: str
    reason: str


@dataclass(kw_only=True)
class SkipLog:
    """Collects what walking a source passed over: a count of all, and the first few by name."""

    count: int = 0
    first: list[Skipped] = field(default_factory=list)
    keep: int = 20

    def add(self, name: str, reason: str) -> None:
        """Count one more, and keep it while there is room."""
        self.count += 1
        if len(self.first) < self.keep:
            self.first.append(Skipped(name=name, reason=reason))
