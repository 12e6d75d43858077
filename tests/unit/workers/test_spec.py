"""A node's spec reaches its children unchanged."""

from dataclasses import fields
from pathlib import Path

from core.records import EngineKind
from core.settings import Settings
from workers.child import settings_environment
from workers.spec import NodeSpec, Role, make_spec


def _settings() -> Settings:
    roots = (Path("/a"), Path("/b c"))
    return Settings(home=Path("/home/x"), image_roots=roots, chunk_size=7, lease_s=1.5, engine=EngineKind.OPENVINO)


def test_a_spec_survives_its_json() -> None:
    spec = make_spec(Role.IDENTIFY, _settings(), device="cuda:3", slots=2)
    read = NodeSpec.from_json(spec.to_json())
    assert read == spec
    for field in fields(Settings):  # a text that equals what an enum says is not what it was
        assert type(getattr(read.settings, field.name)) is type(getattr(spec.settings, field.name)), field.name


def test_a_child_sees_its_pinned_device_as_the_first() -> None:
    assert make_spec(Role.IDENTIFY, _settings(), device="cuda:3", slots=1).torch_device == "cuda:0"
    assert make_spec(Role.IDENTIFY, _settings(), device="cpu", slots=1).torch_device == "cpu"


def test_a_trainer_sees_all_its_devices_by_new_numbers() -> None:
    spec = make_spec(Role.TRAIN, _settings(), device="cuda:3,cuda:1", slots=1)
    assert spec.torch_devices == ("cuda:0", "cuda:1")
    assert make_spec(Role.TRAIN, _settings(), device="cpu", slots=1).torch_devices == ("cpu",)


def test_many_slots_leave_each_a_thread() -> None:
    assert make_spec(Role.IDENTIFY, _settings(), device="cpu", slots=500).threads == 1


def test_settings_survive_the_environment_of_a_child() -> None:
    assert Settings.from_env(settings_environment(_settings())) == _settings()
