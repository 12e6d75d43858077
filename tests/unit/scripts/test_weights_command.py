from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from scripts import check_machine
from scripts.check import Level
from tests import file_server as web
from tests.pretrained import FILES, describe, lay
from tests.unit.scripts.runner import Run

ONE = {"net.onnx": FILES["net.onnx"]}


@pytest.fixture
def given(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder FACEFLEET_WEIGHTS, empty."""
    monkeypatch.setenv("FACEFLEET_WEIGHTS", str(tmp_path / "given"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


@pytest.fixture
def published(given: Path) -> Iterator[web.FileServer]:
    """A server that holds the embedder `mine`, which a user described."""
    with web.serve(ONE["net.onnx"]) as server:
        describe(given, "mine", ONE, server.url)
        yield server


def test_the_list_shows_what_is_known_and_how_to_get_it(run: Run, home: Path) -> None:
    ran = run("weights", "list")

    assert ran.code == 0
    assert "yunet                              detector  MIT         227.1 KiB  missing\n" in ran.out
    assert "facefleet weights pull face-reidentification-retail-0095" in ran.out
    assert not home.exists(), "a look changes nothing"


def test_the_list_is_a_document_too(run: Run, given: Path) -> None:
    describe(given)
    lay(given / "mine")

    ran = run("weights", "list", "--json")

    assert [(each["name"], each["state"]) for each in ran.document["weights"]] == [
        ("face-reidentification-retail-0095", "missing"),
        ("yunet", "missing"),
        ("mine", "present"),
    ]
    assert ran.document["weights"][2] == {
        "name": "mine",
        "kind": "embedder",
        "licence": "MIT",
        "source": "https://example.org/mine",
        "bytes": sum(map(len, FILES.values())),
        "state": "present",
        "folder": str(given / "mine"),
        "problem": None,
    }


def test_a_pull_shows_licence_and_source_before_it_begins(run: Run, home: Path, published: web.FileServer) -> None:
    ran = run("weights", "pull", "mine")

    assert ran.code == 0
    assert ran.out.splitlines() == [
        "Weights  mine (embedder, 17.6 KiB)",
        "Licence  MIT",
        "Made by  https://example.org/mine",
        f"From     127.0.0.1:{published.server_port}",
        f"Pulled and verified: {home}/weights/mine",
    ]
    assert "Already here and verified" in run("weights", "pull", "mine").out
    assert len(published.ranges) == 1


def test_a_pull_gives_one_document_and_the_licence_beside_it(run: Run, home: Path, published: web.FileServer) -> None:
    ran = run("weights", "pull", "mine", "--json")

    (pulled,) = ran.document["weights"]
    assert (pulled["name"], pulled["fetched"], pulled["error"]) == ("mine", True, None)
    assert pulled["folder"] == str(home / "weights" / "mine")
    assert ran.err == "mine: licence MIT, made by https://example.org/mine\n"


def test_a_machine_without_a_way_out_ends_with_exit_code_3(run: Run, given: Path) -> None:
    describe(given, "mine", ONE, "http://127.0.0.1:1")

    ran = run("weights", "pull", "mine", "--json")

    assert ran.code == 3
    assert ran.document["error"]["code"] == "weights_unreachable"
    assert "facefleet weights pull mine --from DIR" in ran.document["error"]["message"]


def test_a_web_page_in_the_place_of_the_file_ends_with_exit_code_1(run: Run, given: Path) -> None:
    with web.serve(b"", web.other(web.WEB_PAGE, Content_Type="text/html")) as server:
        describe(given, "mine", ONE, server.url)
        ran = run("weights", "pull", "mine", "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "weights_download_failed"


def test_pulling_all_goes_on_after_one_that_fails(run: Run, home: Path, given: Path, tmp_path: Path) -> None:
    describe(given, "mine")
    lay(tmp_path / "stick" / "mine")

    ran = run("weights", "pull", "--all", "--from", tmp_path / "stick", "--json")

    assert ran.code == 1
    assert [each["error"] and each["error"]["code"] for each in ran.document["weights"]] == [
        "source_not_found",
        "source_not_found",
        None,
    ]
    assert f"{tmp_path}/stick holds neither yunet/" in ran.err
    assert (home / "weights" / "mine" / "net.onnx").read_bytes() == FILES["net.onnx"]


@pytest.mark.parametrize("arguments", [[], ["yunet", "--all"]])
def test_a_pull_takes_one_name_or_all(run: Run, home: Path, arguments: list[str]) -> None:
    ran = run("weights", "pull", *arguments)

    assert (ran.code, "NAME of the weights to pull, or --all" in ran.err) == (2, True)


@pytest.mark.parametrize("word", ["pull", "verify"])
def test_a_name_that_nothing_has_is_wrong_usage(run: Run, home: Path, word: str) -> None:
    ran = run("weights", word, "yune", "--json")

    assert (ran.code, ran.document["error"]["code"]) == (2, "unknown_weights")
    assert "Did you mean yunet?" in ran.document["error"]["message"]


def test_a_manifest_that_cannot_be_used_is_told(run: Run, given: Path) -> None:
    (given / "mine").mkdir()
    (given / "mine" / "weights.toml").write_text("name = 5", encoding="utf-8")

    ran = run("weights", "list")

    assert ran.code == 2
    assert "mine/weights.toml: name is 5, which is no text" in ran.err


def test_verifying_finds_altered_bytes_that_the_list_does_not_see(run: Run, given: Path) -> None:
    describe(given)
    folder = lay(given / "mine")
    assert run("weights", "verify", "mine").code == 0

    (folder / "net.onnx").write_bytes(bytes(len(FILES["net.onnx"])))

    assert run("weights", "list", "--json").document["weights"][2]["state"] == "present"
    ran = run("weights", "verify", "mine", "--json")
    assert (ran.code, ran.document["weights"][0]["state"]) == (1, "altered")
    assert "net.onnx has other bytes than it should have" in ran.err
    assert "facefleet weights pull mine" in ran.err


def test_verifying_finds_what_is_missing(run: Run, home: Path) -> None:
    ran = run("weights", "verify")

    assert ran.code == 1
    assert "The weights yunet are not here" in ran.err


def test_the_doctor_warns_of_weights_that_are_missing_and_names_the_command(home: Path) -> None:
    findings = check_machine.check_weights(Settings(home=home))

    assert {finding.level for finding in findings} == {Level.WARN}
    assert [finding.remedy for finding in findings] == [
        "facefleet weights pull face-reidentification-retail-0095",
        "facefleet weights pull yunet",
    ]


def test_the_doctor_is_content_with_weights_that_are_there(home: Path, test_data: Path) -> None:
    (finding,) = check_machine.check_weights(Settings(home=home, weights=str(test_data / "weights")))
    assert (finding.level, finding.detail) == (Level.OK, "face-reidentification-retail-0095, yunet")


def test_the_doctor_finds_a_folder_of_weights_that_is_none(home: Path, tmp_path: Path) -> None:
    (finding,) = check_machine.check_weights(Settings(home=home, weights=str(tmp_path / "nothing")))
    assert (finding.level, finding.remedy) == (Level.WARN, "unset FACEFLEET_WEIGHTS")
    assert "which is no folder" in finding.detail
