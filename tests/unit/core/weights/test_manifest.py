"""Manifests of weights: read to their last key, or refused with the file and the key."""

import re
import tomllib
from pathlib import Path

import pytest

from core.errors import WeightsManifestError
from core.faces.impostors import ImpostorScores
from core.faces.lengths import SAYS_NOTHING, FeatureLength
from core.weights.known import CATALOGUE
from core.weights.manifest import read_manifest
from core.weights.spec import ChannelOrder, WeightsKind, WeightsSpec
from tests.pretrained import EMBEDDER, manifest_text

ROOT = Path(__file__).resolve().parents[4]


def read(folder: Path, text: str) -> WeightsSpec:
    file = folder / "weights.toml"
    file.write_text(text, encoding="utf-8")
    return read_manifest(file)


def test_a_manifest_gives_what_stands_in_it(tmp_path: Path) -> None:
    spec = read(tmp_path, manifest_text(url="https://example.org/files"))

    assert (spec.name, spec.kind, spec.licence) == ("mine", WeightsKind.EMBEDDER, "MIT")
    assert [(file.name, file.url) for file in spec.files] == [
        ("net.onnx", "https://example.org/files/net.onnx"),
        ("labels.txt", "https://example.org/files/labels.txt"),
    ]
    assert spec.embedder is not None
    assert spec.embedder.channel_order is ChannelOrder.RGB
    assert spec.embedder.mean == (127.5, 127.5, 127.5)
    assert spec.embedder.template[2] == (0.5, 0.64)


@pytest.mark.parametrize("file", sorted(CATALOGUE.iterdir()), ids=lambda file: file.name)
def test_every_file_of_the_catalogue_is_a_manifest_of_its_own_name(file: Path) -> None:
    spec = read_manifest(file)

    assert file.name == f"{spec.name}.toml"
    assert all(each.url.startswith("https://") for each in spec.files)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('licence = "MIT"', "", "licence is missing"),
        ('licence = "MIT"', 'licence = "MIT"\nlicense = "MIT"', "license is no key that is known here"),
        ('licence = "MIT"', "licence = 3", "licence is 3, which is no text"),
        ('licence = "MIT"', 'licence = " "', "licence is empty"),
        ('kind = "embedder"', 'kind = "oracle"', "kind is 'oracle', which is none of detector, embedder"),
        ('kind = "embedder"', 'kind = "detector"', "embedder stands there, and the kind is detector"),
        ('name = "mine"', 'name = "../mine"', r"name is '\.\./mine'.*no path"),
        ('name = "net.onnx"', 'name = "a/net.onnx"', r"files\[0\]\.name is 'a/net.onnx'.*no path"),
        ('name = "net.onnx"', 'name = ".."', r"files\[0\]\.name is '\.\.'"),
        ('name = "net.onnx"', 'name = "weights.toml"', r"files\[0\]\.name is 'weights.toml', which is kept"),
        ('name = "labels.txt"', 'name = "net.onnx"', r"files\[1\]\.name is 'net.onnx', as of another file"),
        ('url = ""', 'url = "ftp://example.org/x"', r"files\[0\]\.url is 'ftp://example.org/x'"),
        ('url = ""', 'url = "https://exa mple.org/x"', r"files\[0\]\.url is"),
        ('url = ""', 'url = "https://example.org:port/x"', r"files\[0\]\.url is"),
        ('sha256 = "', 'sha256 = "0', r"files\[0\]\.sha256 is .* not 64 hexadecimal digits"),
        ("size_bytes = ", "size_bytes = -", r"files\[0\]\.size_bytes is -\d+, which is no whole number"),
        ("size_bytes = ", "size_bytes = true #", r"files\[0\]\.size_bytes is True"),
        ("size_bytes = ", "mode = 6\nsize_bytes = ", r"files\[0\]\.mode is no key that is known here"),
        (EMBEDDER, "", "embedder is missing"),
        ("[embedder]", "[[embedder]]", "embedder is no table"),
        ('graph = "net.onnx"', 'graph = "other.onnx"', "embedder.graph is 'other.onnx', which is none of the files"),
        ('graph = "net.onnx"', 'graph = "labels.txt"', "embedder.graph is 'labels.txt'.* neither .xml nor .onnx"),
        ("input_size_px = 112", "input_size_px = 112.5", "embedder.input_size_px is 112.5"),
        (
            'channel_order = "rgb"',
            'channel_order = "RGB"',
            "channel_order is 'RGB', which is none of rgb, bgr",
        ),
        ("mean = [127.5, 127.5, 127.5]", "mean = [127.5]", "embedder.mean holds .* no list of 3 numbers"),
        ("mean = [127.5, 127.5, 127.5]", "mean = [nan, 0, 0]", "embedder.mean holds .* no list of 3 numbers"),
        ("scale = [0.0078125, ", "scale = [0, ", "embedder.scale holds a 0"),
        ("[0.34, 0.46], ", "", "embedder.template is no list of 5 rows of 2 numbers"),
        ("[0.34, 0.46]", "[0.34]", "embedder.template holds .* no list of 2 numbers"),
        ("[0.34, 0.46]", "[38.0, 51.0]", "embedder.template holds numbers beyond 0..1.*no pixels"),
        ("embedding_dim = 512", "embedding_dim = 512\nflip = true", "embedder.flip is no key that is known here"),
        ('name = "mine"', "name = mine", "cannot be read .it is no TOML"),
    ],
)
def test_what_cannot_be_used_is_told_with_file_and_key(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = manifest_text()
    assert old in text

    with pytest.raises(WeightsManifestError, match=told) as refused:
        read(tmp_path, text.replace(old, new, 1))
    assert str(tmp_path / "weights.toml") in refused.value.message
    assert "docs/weights.md" in refused.value.message


def test_a_graph_of_openvino_needs_its_numbers(tmp_path: Path) -> None:
    with pytest.raises(WeightsManifestError, match=r"embedder.graph is 'net.xml', whose numbers lie in 'net.bin'"):
        read(tmp_path, manifest_text().replace("net.onnx", "net.xml"))


def test_the_manifest_that_the_documentation_shows_can_be_used(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)

    spec = read(tmp_path, example)

    assert (spec.name, spec.files[0].url) == ("my-embedder", "")
    documented = set(
        re.findall(
            r"`(?:files\.|embedder\.scores\.|embedder\.)?(\w+)`", "".join(re.findall(r"^\| (.*?) \|", text, re.M))
        )
    )
    assert set(re.findall(r"^(\w+) = ", example, re.M)) <= documented


def test_the_catalogue_is_part_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pattern,) = project["tool"]["setuptools"]["package-data"]["core.weights"]
    assert set(CATALOGUE.parent.glob(pattern)) == set(CATALOGUE.iterdir())


def test_a_manifest_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsManifestError, match="files is no list of tables"):
        read(tmp_path, 'name = "x"\nkind = "detector"\nlicence = "MIT"\nsource = "x"\nfiles = []\n')


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsManifestError, match="cannot be read"):
        read_manifest(tmp_path / "weights.toml")
    with pytest.raises(WeightsManifestError, match="No such file"):
        read_manifest(tmp_path / "none.toml")


def test_an_embedder_may_say_what_the_length_of_its_features_means(tmp_path: Path) -> None:
    before = "embedding_dim = "
    spec = read(tmp_path, manifest_text().replace(before, "length = [15.1, 0.5]\n" + before))
    assert spec.embedder is not None and spec.embedder.length == FeatureLength(typical=15.1, power=0.5)
    plain = read(tmp_path, manifest_text())
    assert plain.embedder is not None and plain.embedder.length == SAYS_NOTHING
    for wrong in ("[15.1]", "[0.0, 0.5]", "[15.1, 2.0]", "15.1"):
        with pytest.raises(WeightsManifestError, match=r"embedder\.length"):
            read(tmp_path, manifest_text().replace(before, f"length = {wrong}\n" + before))


SCORES = """
[embedder.scores]
measured_on = "nobody"
impostors = [0.005, 0.0915]
impostor_tail = [1.72, 0.575, -0.075]
genuine = [0.67, 0.12]
"""


def test_an_embedder_may_say_what_was_measured_of_its_similarities(tmp_path: Path) -> None:
    spec = read(tmp_path, manifest_text() + SCORES)
    assert spec.embedder is not None and spec.embedder.scores is not None
    assert spec.embedder.scores.impostors == ImpostorScores(centre=0.005, spread=0.0915)
    assert (spec.embedder.scores.genuine_mean, spec.embedder.scores.measured_on) == (0.67, "nobody")
    plain = read(tmp_path, manifest_text())
    assert plain.embedder is not None and plain.embedder.scores is None


@pytest.mark.parametrize(
    ("old", "new"), [("[0.005, 0.0915]", "[0.005, -1.0]"), ("[0.67, 0.12]", "[2.0, 0.1]"), ("genuine", "genuin")]
)
def test_scores_that_no_embedder_has_are_refused(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(WeightsManifestError, match=r"embedder\.scores\."):
        read(tmp_path, manifest_text() + SCORES.replace(old, new))
