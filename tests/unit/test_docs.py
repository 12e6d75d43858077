"""The documentation is true: settings, commands and codes are all there, links lead somewhere, files fit the code."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import click
import pytest

import core.errors
from core import records
from core.errors import FacefleetError
from core.settings import Settings
from db import results
from scripts.failures import ExitCode
from scripts.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
# Codes that no class of core/errors.py has: of the command line, and of what happens to a worker or to a job.
OTHER_CODES = {"usage", "interrupted", "worker_crashed", "timed_out", "cancelled"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(command: click.Command, path: str, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with what is typed to reach it."""
    if path != "facefleet":
        yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, f"{path} {name}", click.Context(child, info_name=name, parent=context))


COMMANDS = dict(commands(cli, "facefleet", click.Context(cli, info_name="facefleet")))


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"no heading {heading}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """Return the code words that begin the lines of tables."""
    return re.findall(r"^\| `([^`]+)`", text, re.M)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def test_every_setting_is_documented_as_it_is() -> None:
    lines = {line.split("`")[1]: line for line in read("docs/settings.md").splitlines() if line.startswith("| `FACE")}
    assert set(lines) == {f"FACEFLEET_{field.name.upper()}" for field in fields(Settings)}
    for field in fields(Settings):
        cells = [cell.strip() for cell in lines[f"FACEFLEET_{field.name.upper()}"].strip("|").split("|")]
        default = "" if field.default in ("", ()) else f"`{field.default}`"
        low, high = field.metadata["low"], field.metadata["high"]
        limits = "" if low is None else f"{_number(low)} to {_number(high)}"
        if isinstance(field.default, StrEnum):
            limits = ", ".join(type(field.default))
        assert cells[1:] == [default, limits, field.metadata["doc"]]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_documented_with_its_options(path: str) -> None:
    text = section(read("docs/cli.md"), f"`{path}`")
    command = COMMANDS[path]
    if isinstance(command, click.Group):
        return
    options = {option for param in command.params if isinstance(param, click.Option) for option in param.opts}
    documented = {cell.split()[0] for cell in first_cells(text)}
    assert documented == options - {"--json"}


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^### `(facefleet [^`]+)`$", read("docs/cli.md"), re.M)) == set(COMMANDS)


def test_every_exit_code_is_documented() -> None:
    codes = re.findall(r"^\| (\d+) \|", section(read("docs/cli.md"), "What all commands share"), re.M)
    assert [int(code) for code in codes] == sorted(ExitCode)


def test_every_key_of_a_result_is_documented() -> None:
    keys = first_cells(section(read("docs/cli.md"), "Results, row by row"))
    source = inspect.getsource(results._Reader._as_dict)
    assert keys == re.findall(r'^            "(\w+)":', source, re.M)


def test_every_error_code_is_documented_once() -> None:
    codes = [
        error.code for _, error in inspect.getmembers(core.errors, inspect.isclass) if issubclass(error, FacefleetError)
    ]
    assert sorted(first_cells(read("docs/errors.md"))) == sorted({*codes, *OTHER_CODES})


def test_what_can_be_tried_again_is_said() -> None:
    lines = {line.split("`")[1]: line for line in read("docs/errors.md").splitlines() if line.startswith("| `")}
    for _, error in inspect.getmembers(core.errors, inspect.isclass):
        if issubclass(error, core.errors.SourceUnreachableError):
            assert "*Tried again*" in lines[error.code]


@pytest.mark.parametrize(
    "enum",
    [
        records.JobState,
        records.ChunkState,
        records.RunState,
        records.ModelState,
        records.ItemOutcome,
        records.FaceOutcome,
    ],
    ids=lambda enum: enum.__name__,
)
def test_every_state_and_outcome_is_in_the_architecture(enum: type) -> None:
    cells = set(re.findall(r"^\|[^|`]*\|? ?`(\w+)` \|", section(read("docs/architecture.md"), "The states"), re.M))
    assert {member.value for member in enum} <= cells  # type: ignore[attr-defined]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in map(_anchor, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_shown_exist(page: Path) -> None:
    """What is shown as typed begins with a command, and its options are that command's."""
    for shown in re.findall(r"^facefleet ([^`\n|#]+)", _code(page), re.M):
        words = shown.split()
        path = next(
            (" ".join(["facefleet", *words[:n]]) for n in (2, 1) if " ".join(["facefleet", *words[:n]]) in COMMANDS),
            None,
        )
        assert path is not None, shown
        options = {option for param in COMMANDS[path].params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= {*options, "--help", "--json"}, shown


def _code(page: Path) -> str:
    """Return the code of a page: fenced blocks of shell, and spans."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return "\n".join(
        [*blocks, *re.findall(r"`(facefleet [a-z][^`]*)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_shown_exist(page: Path) -> None:
    known = {f"FACEFLEET_{field.name.upper()}" for field in fields(Settings)} | {"FACEFLEET_TEST_DATA"}
    assert set(re.findall(r"\bFACEFLEET_[A-Z_]+\b", page.read_text(encoding="utf-8"))) - {"FACEFLEET_"} <= known


def test_decisions_are_numbered_and_listed() -> None:
    pages = sorted(page.name for page in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    listed = re.findall(r"^(\d+)\. \[(.*)\]\((0.*\.md)\)$", read("docs/decisions/README.md"), re.M)
    assert [name for _, _, name in listed] == pages
    for number, title, name in listed:
        text = read(f"docs/decisions/{name}")
        assert text.startswith(f"# {number}. {title}\n")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.M)[:3] == ["Context", "Decision", "Consequence"]


def test_the_readme_shows_a_run_in_its_first_screen() -> None:
    lines = read("README.md").splitlines()
    assert next(number for number, line in enumerate(lines) if line.startswith("```")) < 15


def test_the_services_of_the_compose_file_are_commands_that_exist() -> None:
    text = read("compose.yaml")
    started = [json.loads(line) for line in re.findall(r"^    command: (\[.*\])$", text, re.M)]
    ours = [words for words in started if words[0] != "sh"]
    assert {words[0] for words in ours} == {"db", "worker", "trainer", "sweeper", "serve", "doctor"}
    for words in ours:
        path = "facefleet " + " ".join(words[:2] if words[0] == "db" else words[:1])
        options = {option for param in COMMANDS[path].params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_the_compose_file_sets_what_processes_read() -> None:
    known = {f"FACEFLEET_{field.name.upper()}" for field in fields(Settings)}
    assert set(re.findall(r"^    (FACEFLEET_\w+):", read("compose.yaml"), re.M)) <= known


def test_no_secret_has_a_default() -> None:
    text = read("compose.yaml")
    secrets = re.findall(r"\$\{(\w*PASSWORD)([^}]*)\}", text)
    assert len(secrets) >= 4
    assert all(rest.startswith(":?") for _, rest in secrets)


def test_the_image_is_built_from_the_lock_for_a_user_without_rights() -> None:
    text = read("Dockerfile")
    assert "--require-hashes --requirement /tmp/requirements.lock" in text
    assert "requirements-dev" not in text
    assert re.search(r"^USER facefleet$", text.rpartition("FROM ")[2], re.M)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M)
    wanted = {word for line in copied for word in line.split()}
    sent = {line.removeprefix("!") for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert wanted == sent


def test_the_licence_is_the_one_that_the_package_names() -> None:
    assert 'license = "Apache-2.0"' in read("pyproject.toml")
    assert "Apache License\n                           Version 2.0, January 2004" in read("LICENSE")
    assert "END OF TERMS AND CONDITIONS" in read("LICENSE")
