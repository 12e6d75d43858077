"""Every error facefleet raises on purpose, in one tree.

    FacefleetError
    ├── InputError                      the user's input; nothing was done; exit code 2
    │   ├── SettingError
    │   ├── SourceNotFoundError
    │   ├── EmptySourceError
    │   ├── ManifestError
    │   ├── ArchiveError
    │   ├── PersonNameError
    │   ├── PersonConflictError
    │   ├── LabelConflictError
    │   ├── UnknownIdError
    │   ├── NothingToUndoError
    │   ├── JobStateError
    │   ├── IdempotencyConflictError
    │   ├── ActivationConflictError
    │   ├── ModelStateError
    │   ├── ForeignStoreError
    │   ├── UnknownWeightsError
    │   ├── WeightsManifestError
    │   └── FleetRunningError
    ├── PhotoError                      one photo is bad; recorded on its item; never retried
    │   ├── PhotoMissingError
    │   ├── PhotoForbiddenError
    │   ├── PhotoEmptyError
    │   ├── NotAPhotoError
    │   ├── PhotoBrokenError
    │   ├── PhotoTooManyBytesError
    │   ├── PhotoTooManyPixelsError
    │   ├── PhotoTooSmallError
    │   ├── PhotoTooSlowError
    │   ├── PhotoTooLargeForMemoryError
    │   ├── UnsafeMemberError
    │   ├── NoFaceError
    │   ├── FaceTooPoorError
    │   ├── SeveralFacesError
    │   ├── PhotoChangedError
    │   └── UnsafeMemberError
    ├── SourceUnreachableError          the place a photo lies in did not answer; worth another try
    ├── ServiceError                    a service is unreachable; exit code 3
    │   ├── RedisUnreachableError
    │   │   └── RedisRefusedError
    │   ├── DatabaseUnreachableError
    │   │   └── DatabaseFullError
    │   ├── DiskFullError
    │   ├── ArtifactsUnreachableError
    │   ├── WeightsUnreachableError
    │   ├── DatabaseSchemaError
    │   └── FleetStartError
    ├── ModelError                      a model cannot be used; the one that serves goes on serving
    │   ├── NoActiveModelError
    │   ├── ArtifactMissingError
    │   ├── ArtifactCorruptError
    │   ├── ArtifactStoreError
    │   ├── ManifestVersionError
    │   ├── ModelParityError
    │   ├── WeightsMissingError
    │   ├── WeightsAlteredError
    │   ├── WeightsDownloadError
    │   ├── WeightsStoreError
    │   ├── WeightsUnreadableError
    │   └── UnknownOperatorError
    ├── TrainingError                   a training run cannot give a model
    │   ├── TooFewPeopleError
    │   ├── TrainingSetTooLargeError
    │   └── RunCancelledError
    └── LeaseLostError                  another worker owns the chunk or run now; write nothing

A leaf has a stable `code` (what is stored and documented in docs/errors.md). A message says what happened, what it
means for the data, and what to do next. `retry` says whether the same call may succeed later; workers/retry decides.
"""

from typing import ClassVar


class FacefleetError(Exception):
    """Base of all errors raised on purpose."""

    code: ClassVar[str] = "internal_error"
    retry: ClassVar[bool] = False

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


class InputError(FacefleetError):
    """What the user gave cannot be used; nothing was changed."""

    code = "bad_input"


class SettingError(InputError):
    """A FACEFLEET_* setting has a value that cannot be used."""

    code = "bad_setting"


class SourceNotFoundError(InputError):
    """A source names nothing that exists."""

    code = "source_not_found"


class EmptySourceError(InputError):
    """The sources hold no photo."""

    code = "source_empty"


class ManifestError(InputError):
    """A CSV or JSONL manifest cannot be read."""

    code = "bad_manifest"


class ArchiveError(InputError):
    """A zip or tar file cannot be read."""

    code = "bad_archive"


class PersonNameError(InputError):
    """A person's name holds characters that a name cannot hold."""

    code = "bad_person_name"


class PersonConflictError(InputError):
    """Two people would bear names that differ only in case or accents."""

    code = "person_conflict"


class LabelConflictError(InputError):
    """One photo is labelled as two people, or both for training and for testing."""

    code = "label_conflict"


class UnknownIdError(InputError):
    """No job, run, person or model has this id."""

    code = "unknown_id"


class NothingToUndoError(InputError):
    """Nothing was said or changed that could be taken back."""

    code = "nothing_to_undo"


class JobStateError(InputError):
    """The job is in a state in which this cannot be done to it."""

    code = "job_state"


class IdempotencyConflictError(InputError):
    """The idempotency key was used before for another submission."""

    code = "idempotency_conflict"


class ActivationConflictError(InputError):
    """Somebody else activated a model in the same moment."""

    code = "activation_conflict"


class ModelStateError(InputError):
    """The model is in a state in which this cannot be done to it."""

    code = "model_state"


class ForeignStoreError(InputError):
    """Most of what lies in the model store is of no model of this ledger: it may belong to another one."""

    code = "foreign_store"


class UnknownWeightsError(InputError):
    """No pretrained weights have this name."""

    code = "unknown_weights"


class WeightsManifestError(InputError):
    """The manifest of a set of pretrained weights cannot be used."""

    code = "bad_weights_manifest"


class FleetRunningError(InputError):
    """Another `facefleet up` runs in this home folder."""

    code = "fleet_running"


class PhotoError(FacefleetError):
    """One photo cannot be used. Stored as the item's outcome; its neighbours go on."""

    code = "photo_error"


class PhotoMissingError(PhotoError):
    """The photo is not where its URI says."""

    code = "photo_missing"


class PhotoForbiddenError(PhotoError):
    """The photo lies outside FACEFLEET_IMAGE_ROOTS or may not be read by the worker's user."""

    code = "photo_forbidden"


class PhotoEmptyError(PhotoError):
    """The file holds no bytes."""

    code = "photo_empty"


class NotAPhotoError(PhotoError):
    """The bytes are no image in a format that facefleet reads."""

    code = "not_a_photo"


class PhotoBrokenError(PhotoError):
    """The image is truncated or corrupt."""

    code = "photo_broken"


class PhotoTooManyBytesError(PhotoError):
    """The file is larger than FACEFLEET_MAX_PHOTO_BYTES."""

    code = "photo_too_many_bytes"


class PhotoTooManyPixelsError(PhotoError):
    """The image has more pixels than FACEFLEET_MAX_PHOTO_PIXELS."""

    code = "photo_too_many_pixels"


class PhotoTooSmallError(PhotoError):
    """The image is too small to hold a face."""

    code = "photo_too_small"


class PhotoTooSlowError(PhotoError):
    """Reading or decoding took longer than FACEFLEET_PHOTO_TIMEOUT_S."""

    code = "photo_too_slow"


class PhotoTooLargeForMemoryError(PhotoError):
    """Reading or decoding asked for more memory than FACEFLEET_MAX_WORKER_BYTES, or than there is."""

    code = "photo_too_large_for_memory"


class PhotoChangedError(PhotoError):
    """The photo is not the one that was looked at: its bytes have changed."""

    code = "photo_changed"


class UnsafeMemberError(PhotoError):
    """An archive member has an absolute name, `..` in its name, or is a link."""

    code = "unsafe_member"


class NoFaceError(PhotoError):
    """A labelled photo shows no face; in a submitted one that is an outcome and no error."""

    code = "no_face"


class FaceTooPoorError(PhotoError):
    """No face of a labelled photo passes the quality gate."""

    code = "face_too_poor"


class SeveralFacesError(PhotoError):
    """A labelled photo shows several good faces, and the label does not say whose is meant."""

    code = "several_faces"


class SourceUnreachableError(FacefleetError):
    """The store that holds the photo did not answer."""

    code = "source_unreachable"
    retry = True


class ServiceError(FacefleetError):
    """A service that facefleet needs did not answer."""

    code = "service_unreachable"
    retry = True


class RedisUnreachableError(ServiceError):
    """Redis did not answer."""

    code = "redis_unreachable"


class RedisRefusedError(RedisUnreachableError):
    """Redis answered that it takes nothing: it is read-only, out of memory, or cannot write its own files."""

    code = "redis_refused"


class DatabaseUnreachableError(ServiceError):
    """The database did not answer."""

    code = "database_unreachable"


class DatabaseFullError(DatabaseUnreachableError):
    """The disk of the database is full."""

    code = "database_full"


class DiskFullError(ServiceError):
    """The disk that holds artifacts, checkpoints or other files is full."""

    code = "disk_full"


class ArtifactsUnreachableError(ServiceError):
    """The store of the model artifacts did not answer."""

    code = "artifacts_unreachable"


class WeightsUnreachableError(ServiceError):
    """The server that holds pretrained weights did not answer, or broke off each time."""

    code = "weights_unreachable"


class DatabaseSchemaError(ServiceError):
    """The database's schema is not the one this version needs."""

    code = "database_schema"
    retry = False


class FleetStartError(ServiceError):
    """A process of `facefleet up` did not start."""

    code = "fleet_start"
    retry = False


class ModelError(FacefleetError):
    """A model cannot be used."""

    code = "model_error"


class NoActiveModelError(ModelError):
    """No model has been trained and activated yet."""

    code = "no_active_model"


class ArtifactMissingError(ModelError):
    """The model's file is not in the store."""

    code = "artifact_missing"


class ArtifactCorruptError(ModelError):
    """The model's file does not have the sha256 it is registered under, or does not load."""

    code = "artifact_corrupt"


class ArtifactStoreError(ModelError):
    """The model store cannot be written; no model was changed."""

    code = "artifact_store"


class ManifestVersionError(ModelError):
    """The model's manifest was written by a version this one does not read."""

    code = "manifest_version"


class ModelParityError(ModelError):
    """The compiled model does not answer as the network it was made from."""

    code = "model_parity"


class WeightsUnreadableError(ModelError):
    """A file of pretrained weights is missing, is not the one that is known, or holds no network that can be used."""

    code = "weights_unreadable"


class WeightsMissingError(ModelError):
    """Pretrained weights are not on this machine."""

    code = "weights_missing"


class WeightsAlteredError(ModelError):
    """A file of pretrained weights does not have the bytes that its manifest pins."""

    code = "weights_altered"


class WeightsDownloadError(ModelError):
    """What a server sent is not the pinned file; nothing of it was taken."""

    code = "weights_download_failed"


class WeightsStoreError(ModelError):
    """The folder of pretrained weights cannot be written; what was there before is whole."""

    code = "weights_store"


class UnknownOperatorError(ModelError):
    """A pretrained network uses an operator, or an option of one, that the importer does not know."""

    code = "unknown_operator"


class TrainingError(FacefleetError):
    """A training run cannot give a model."""

    code = "training_error"


class TooFewPeopleError(TrainingError):
    """Fewer people with usable photos than a classifier needs."""

    code = "too_few_people"


class TrainingSetTooLargeError(TrainingError):
    """The labelled photos do not fit into the memory that training may use."""

    code = "training_set_too_large"


class RunCancelledError(TrainingError):
    """The run was cancelled while it ran."""

    code = "run_cancelled"


class LeaseLostError(FacefleetError):
    """The lease ran out and another worker may own the work; nothing is written."""

    code = "lease_lost"
