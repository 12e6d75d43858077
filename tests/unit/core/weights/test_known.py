"""Which weights are known, and that a name means one thing."""

from pathlib import Path

import pytest

from core.errors import UnknownWeightsError, WeightsManifestError
from core.weights.known import get_known, list_known
from core.weights.spec import ChannelOrder, WeightsKind
from tests.pretrained import describe, manifest_text

BUILT_IN = ["face-reidentification-retail-0095", "yunet"]


def test_facefleet_brings_a_detector_and_an_embedder_with_free_licences() -> None:
    embedder, detector = list_known(None)

    assert [embedder.name, detector.name] == BUILT_IN
    assert (detector.kind, detector.licence, detector.embedder) == (WeightsKind.DETECTOR, "MIT", None)
    assert (embedder.kind, embedder.licence) == (WeightsKind.EMBEDDER, "Apache-2.0")
    assert embedder.embedder is not None
    assert embedder.embedder.channel_order is ChannelOrder.BGR
    assert (embedder.embedder.input_size_px, embedder.embedder.embedding_dim) == (128, 256)
    assert embedder.embedder.template[3] == (0.34947188, 0.82469196)


def test_a_users_embedder_stands_behind_the_ones_that_facefleet_brings(tmp_path: Path) -> None:
    spec = describe(tmp_path, "a-net")

    assert [each.name for each in list_known(tmp_path)] == [*BUILT_IN, "a-net"]
    assert get_known("a-net", tmp_path) == spec


def test_a_users_manifest_may_not_take_a_known_name(tmp_path: Path) -> None:
    describe(tmp_path, "yunet")

    for look in (lambda: get_known("yunet", tmp_path), lambda: list_known(tmp_path)):
        with pytest.raises(WeightsManifestError, match="under a name that facefleet's own weights have"):
            look()


def test_a_broken_manifest_does_not_keep_other_weights_from_being_used(tmp_path: Path) -> None:
    (describe_folder := tmp_path / "broken").mkdir()
    (describe_folder / "weights.toml").write_text("name =", encoding="utf-8")

    assert get_known("yunet", tmp_path).name == "yunet"
    with pytest.raises(WeightsManifestError, match=r"broken/weights.toml cannot be read"):
        list_known(tmp_path)


def test_folder_and_manifest_bear_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "weights.toml").write_text(manifest_text("mine"), encoding="utf-8")

    with pytest.raises(WeightsManifestError, match="name is 'mine', and its folder is 'other'"):
        get_known("other", tmp_path)


def test_only_embedders_can_be_added(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    text = manifest_text().replace('kind = "embedder"', 'kind = "detector"').partition("[embedder]")[0]
    (tmp_path / "mine" / "weights.toml").write_text(text, encoding="utf-8")

    with pytest.raises(WeightsManifestError, match="only embedders can be added"):
        get_known("mine", tmp_path)


@pytest.mark.parametrize("name", ["yune", "../yunet", "", "yunet/", "YUNET.toml"])
def test_a_name_that_nothing_has_is_told_with_the_command_that_lists_them(name: str) -> None:
    with pytest.raises(UnknownWeightsError, match="facefleet weights list"):
        get_known(name, None)


def test_a_misspelt_name_is_told_the_one_that_was_meant(tmp_path: Path) -> None:
    describe(tmp_path, "a-net")
    with pytest.raises(UnknownWeightsError, match=r"Did you mean a-net\?"):
        get_known("a-nett", tmp_path)
