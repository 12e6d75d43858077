"""Where weights are looked for, and that the bytes that are used are the ones that were checked."""

from pathlib import Path

import pytest

from core.errors import UnknownWeightsError, WeightsAlteredError, WeightsMissingError
from core.settings import Settings
from core.weights.store import Installed, WeightsState, WeightsStore
from tests.pretrained import FILES, describe, lay

OTHER = {**FILES, "net.onnx": bytes(len(FILES["net.onnx"]))}


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    given = tmp_path / "given"
    describe(given)
    return WeightsStore(own=tmp_path / "home" / "weights", given=given)


def given_folder(store: WeightsStore) -> Path:
    assert store.given is not None
    return store.given / "mine"


def test_the_settings_say_where_weights_lie(tmp_path: Path) -> None:
    settings = Settings.from_env({"FACEFLEET_HOME": str(tmp_path / "home"), "FACEFLEET_WEIGHTS": str(tmp_path / "w")})
    store = WeightsStore.from_settings(settings)

    assert (store.own, store.given) == (tmp_path / "home" / "weights", tmp_path / "w")
    assert WeightsStore.from_settings(Settings.from_env({})).given is None


def test_the_given_folder_goes_before_the_home_folder(store: WeightsStore) -> None:
    own = lay(store.own / "mine")
    assert store.find("mine") == Installed(spec=store.get_spec("mine"), folder=own)

    given = lay(given_folder(store))
    assert store.find("mine").folder == given


def test_weights_that_are_nowhere_are_told_with_both_places_and_the_command(store: WeightsStore) -> None:
    with pytest.raises(WeightsMissingError, match=r"net.onnx is not there") as refused:
        store.find("mine")
    for part in (str(given_folder(store)), str(store.own), "`facefleet weights pull mine --from DIR`"):
        assert part in refused.value.message


def test_weights_that_are_published_can_be_pulled_in_two_ways(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"`facefleet weights pull yunet`, or .* --from DIR`"):
        WeightsStore(own=tmp_path).find("yunet")


def test_a_set_with_a_file_too_few_is_missing(store: WeightsStore) -> None:
    lay(store.own / "mine", {"net.onnx": FILES["net.onnx"]})
    with pytest.raises(WeightsMissingError, match=r"labels.txt is not there"):
        store.find("mine")


def test_a_file_of_another_size_is_altered(store: WeightsStore) -> None:
    lay(store.own / "mine", {**FILES, "net.onnx": b"short"})
    with pytest.raises(WeightsAlteredError, match=r"net.onnx has 5 bytes, not 18,000.*not used.*weights pull mine"):
        store.find("mine")


def test_a_damaged_set_does_not_stand_before_one_that_is_right(store: WeightsStore) -> None:
    lay(given_folder(store), {**FILES, "net.onnx": b"short"})
    own = lay(store.own / "mine")
    assert store.find("mine").folder == own


def test_sizes_alone_do_not_show_other_bytes_and_verifying_does(store: WeightsStore) -> None:
    spec = store.get_spec("mine")
    folder = lay(store.own / "mine", OTHER)

    assert store.look(spec).state is WeightsState.PRESENT
    verified = store.look(spec, verify=True)
    assert (verified.state, verified.folder) == (WeightsState.ALTERED, folder)
    assert "net.onnx has other bytes" in str(verified.problem)


def test_the_bytes_that_are_read_are_the_ones_that_were_checked(store: WeightsStore) -> None:
    lay(store.own / "mine")
    spec = store.get_spec("mine")
    assert {file.name: store.read_verified(spec, file) for file in spec.files} == FILES


@pytest.mark.parametrize("data", [OTHER["net.onnx"], b"", FILES["net.onnx"] + b"x", FILES["net.onnx"][:-1]])
def test_altered_bytes_are_never_read(store: WeightsStore, data: bytes) -> None:
    lay(store.own / "mine", {**FILES, "net.onnx": data})
    spec = store.get_spec("mine")
    with pytest.raises(WeightsAlteredError, match=r"other bytes than it should have.*facefleet weights pull mine"):
        store.read_verified(spec, spec.files[0])


def test_a_right_copy_is_read_where_an_earlier_one_is_altered(
    store: WeightsStore, caplog: pytest.LogCaptureFixture
) -> None:
    lay(given_folder(store), OTHER)
    lay(store.own / "mine")
    spec = store.get_spec("mine")

    assert store.read_verified(spec, spec.files[0]) == FILES["net.onnx"]
    assert "has other bytes than it should have" in caplog.text


def test_altered_is_told_before_missing(store: WeightsStore) -> None:
    lay(given_folder(store), OTHER)
    spec = store.get_spec("mine")
    with pytest.raises(WeightsAlteredError):
        store.read_verified(spec, spec.files[0])


def test_a_file_that_is_not_there_is_told_as_missing(store: WeightsStore) -> None:
    spec = store.get_spec("mine")
    with pytest.raises(WeightsMissingError, match=r"is not there, and .* is not there"):
        store.read_verified(spec, spec.files[0])


def test_a_folder_in_the_place_of_a_file_is_no_file(store: WeightsStore) -> None:
    (store.own / "mine" / "net.onnx").mkdir(parents=True)
    spec = store.get_spec("mine")
    with pytest.raises(WeightsMissingError, match="Is a directory"):
        store.read_verified(spec, spec.files[0])


def test_looking_makes_and_changes_nothing(store: WeightsStore, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    store.look(store.get_spec("mine"), verify=True)
    with pytest.raises(UnknownWeightsError):
        store.find("nothing")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_real_weights_are_the_ones_in_the_catalogue(test_data: Path, tmp_path: Path) -> None:
    store = WeightsStore(own=tmp_path, given=test_data / "weights")
    for spec in store.list_specs():
        assert store.look(spec, verify=True).state is WeightsState.PRESENT
        assert [len(store.read_verified(spec, file)) for file in spec.files] == [file.size_bytes for file in spec.files]
