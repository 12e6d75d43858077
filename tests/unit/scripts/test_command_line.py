import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from scripts.main import COMMANDS, cli
from tests.unit.scripts.runner import Run

ROOT = Path(__file__).resolve().parents[3]


def all_commands() -> list[tuple[str, click.Command]]:
    """Every command that can be typed, with the words that call it."""
    found = []
    for name, entry in COMMANDS.items():
        module, _, attribute = entry.target.partition(":")
        command = getattr(import_module(module), attribute)
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", command.commands[sub]) for sub in command.commands]
    return found


def test_each_command_says_in_its_help_what_the_list_of_commands_says_of_it() -> None:
    for name, command in all_commands():
        if name in COMMANDS:
            assert (command.help or "").strip().splitlines()[0] == COMMANDS[name].summary, name


def test_every_command_takes_json_and_shows_an_example() -> None:
    for name, command in all_commands():
        if not isinstance(command, click.Group):
            assert "--json" in {opt for param in command.params for opt in param.opts}, name
            assert f"facefleet {name}" in (command.epilog or ""), name


def test_every_option_has_a_help_text() -> None:
    for name, command in all_commands():
        options = [param for param in command.params if isinstance(param, click.Option)]
        assert [option.name for option in options if not option.help] == [], name


def test_the_help_lists_every_command() -> None:
    help_text = cli.get_help(click.Context(cli, info_name="facefleet"))

    assert [name for name in COMMANDS if f"\n  {name} " not in help_text] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["submit", "--help"],
        ["results", "--help"],
        ["evaluate", "--help"],
        ["weights", "pull", "--help"],
    ],
)
def test_help_imports_neither_torch_nor_the_database(arguments: list[str]) -> None:
    loaded = loaded_by(arguments)

    assert loaded & {"torch", "sqlalchemy", "celery", "kombu", "rich", "numpy", "PIL"} == set()


@pytest.mark.parametrize(
    "arguments",
    [["people", "list"], ["job", "list"], ["results"], ["model", "list"], ["weights", "list"], ["submit", "photo.jpg"]],
)
def test_everyday_commands_do_not_import_torch(home: Path, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no photo, which nobody looks at yet")

    assert loaded_by(arguments, cwd=tmp_path) & {"torch", "torchvision", "celery"} == set()


def loaded_by(arguments: list[str], cwd: Path = ROOT) -> set[str]:
    """Run a command in a process of its own; return the top-level modules that it imported."""
    script = (
        "import sys, json\nfrom scripts.main import cli\n"
        f"try:\n    cli.main({arguments!r})\nexcept SystemExit as end:\n    assert end.code in (0, 3), end.code\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    path = [str(ROOT), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{script}"],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_mistyped_command_is_told_the_one_that_was_meant(run: Run) -> None:
    ran = run("sumbit")

    assert ran.code == 2
    assert ran.out == ""
    assert ran.err == "Error: No such command 'sumbit'. Did you mean 'submit'? Help: `facefleet --help`.\n"


def test_a_mistyped_subcommand_and_option_are_told_too(run: Run) -> None:
    assert "Did you mean 'show'?" in run("job", "shwo").err
    assert "Did you mean '--min-confidence'?" in run("results", "--min-confidense", "1").err


def test_wrong_usage_is_one_json_document_when_json_was_asked_for(run: Run) -> None:
    ran = run("job", "show", "--json")

    assert ran.code == 2
    assert set(ran.document) == {"error"}
    assert ran.document["error"]["code"] == "usage"
    assert "facefleet job show --help" in ran.document["error"]["message"]
