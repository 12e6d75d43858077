"""Settings: read once, checked, and said to the user when they cannot be used."""

import os
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from core.errors import SettingError
from core.records import EngineKind
from core.settings import Settings

NUMBERS = [field for field in fields(Settings) if isinstance(field.default, int | float)]


def read(**values: object) -> Settings:
    return Settings.from_env({f"FACEFLEET_{name.upper()}": str(value) for name, value in values.items()})


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.home == Path("~/.facefleet").expanduser()
    assert (settings.chunk_size, settings.lease_s, settings.log_level) == (128, 60.0, "INFO")
    assert settings.image_roots == ()


def test_everything_embedded_lies_in_the_home_folder(tmp_path: Path) -> None:
    settings = read(home=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/facefleet.db"
    folders = [
        settings.artifacts_dir,
        settings.weights_dir,
        settings.runs_dir,
        settings.logs_dir,
        settings.redis_dir,
    ]
    assert {folder.parent for folder in folders} == {tmp_path}
    assert len(set(folders)) == 5
    assert settings.given_weights_dir is None


def test_a_named_place_beats_the_home_folder(tmp_path: Path) -> None:
    settings = read(home=tmp_path, database_url="postgresql+psycopg://db/x", artifacts="/srv/models")
    assert settings.resolved_database_url == "postgresql+psycopg://db/x"
    assert settings.artifacts_dir == Path("/srv/models")


def test_paths_are_made_absolute_and_tildes_filled_in() -> None:
    settings = read(home="~/x", image_roots=os.pathsep.join(["~/photos", "relative", "", "/srv/photos"]))
    home = Path.home()
    assert settings.home == home / "x"
    assert settings.image_roots == (home / "photos", Path.cwd() / "relative", Path("/srv/photos"))


def test_a_blank_variable_is_an_unset_one() -> None:
    assert read(chunk_size="  ", database_url="") == Settings.from_env({})


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_a_number_is_taken_to_its_limits_and_no_further(field: object) -> None:
    name, low, high = field.name, field.metadata["low"], field.metadata["high"]  # type: ignore[attr-defined]
    assert getattr(read(**{name: low}), name) == low
    assert getattr(read(**{name: high}), name) == high
    for beyond in (low - 1, high + 1):
        with pytest.raises(SettingError, match=f"FACEFLEET_{name.upper()} is .* out of range"):
            read(**{name: beyond})


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_a_word_is_no_number_and_the_message_says_what_is(field: object) -> None:
    name = field.name  # type: ignore[attr-defined]
    with pytest.raises(SettingError, match=f"FACEFLEET_{name.upper()} is 'many'.*unset it"):
        read(**{name: "many"})


@pytest.mark.parametrize("text", ["nan", "inf", "1e999"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        read(lease_s=text)


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().chunk_size = 1  # type: ignore[misc]


def test_every_setting_is_explained_and_every_number_has_limits() -> None:
    for field in fields(Settings):
        assert str(field.metadata["doc"]).endswith(".")
    for field in NUMBERS:
        assert field.metadata["low"] <= field.default <= field.metadata["high"]


def test_an_engine_is_one_of_those_that_there_are() -> None:
    assert Settings.from_env({}).engine is EngineKind.TORCH
    assert read(engine="OpenVINO").engine is EngineKind.OPENVINO
    with pytest.raises(SettingError, match=r"FACEFLEET_ENGINE is 'tensorrt', which is none of torch, openvino\. Set"):
        read(engine="tensorrt")
