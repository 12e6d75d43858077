"""Where workers' time went is made shares of the whole, and what py-spy saw is read."""

import stat
import sys
from pathlib import Path

import psutil
import pytest

from core.stages import Spent, Stage
from scripts.bench.pyspy import NotWatchedError, find_pyspy, hottest_functions, watching
from scripts.bench.stage_words import WORDS
from scripts.bench.worker_time import where_time_went
from tests.unit.scripts.runner import run_command
from workers.stage_times import StageReport

NODE = 'process 10:"python -m scripts.main worker --slots 2"'
CHILD = NODE + ';process 11:"python -c from billiard.spawn import spawn_main; spawn_main(pipe=18) --fork"'
RAW = f"""\
{CHILD};<module> (<string>:1);identify (workers/tasks.py:24);Runner.answer (core/models/variants.py:103) 30
{CHILD};<module> (<string>:1);identify (workers/tasks.py:24);Runner.answer (core/models/variants.py:104) 20
{CHILD};<module> (<string>:1);identify (workers/tasks.py:24);walk (core/tree.py:1);walk (core/tree.py:1) 40
{CHILD};_Hand.run (core/prefetch.py:211);0x7f42a73278ec (libc.so.6) 6
{CHILD};_Hand.run (core/prefetch.py:211);0x7f42a73278ff (libc.so.6) 4
{CHILD};Condition.wait (threading.py:331) 500
{NODE};loop (kombu/asynchronous/hub.py:373) 700
process 12:"python -c
import time; print('\u00e4')";<module> (<string>:2) 900
"""


def test_the_hottest_functions_are_those_in_which_workers_were_seen() -> None:
    hottest = hottest_functions(RAW, [11], most=3)

    assert [(each.function, each.file) for each in hottest] == [
        ("Runner.answer", "core/models/variants.py"),
        ("walk", "core/tree.py"),
        ("machine code without a name", "libc.so.6"),
    ]
    assert [each.own for each in hottest] == pytest.approx([0.5, 0.4, 0.1])
    assert [each.total for each in hottest] == pytest.approx([0.5, 0.4, 0.1])


def test_a_function_counts_once_however_often_it_stands_on_a_stack() -> None:
    shares = {each.function: each.total for each in hottest_functions(RAW, [12])}
    assert shares == {"<module>": 1.0}
    assert all(each.total <= 1 for each in hottest_functions(RAW, [10, 11, 12]))


@pytest.mark.parametrize("raw", ["", "\n", "py-spy: nothing\n", f"{CHILD} 3\n"])
def test_where_nothing_was_seen_no_function_is_hot(raw: str) -> None:
    assert hottest_functions(raw, [11]) == []


def make_report(pid: int) -> StageReport:
    stages = {
        Stage.STORE: Spent(wall_s=1.0, computing_s=0.25, entered=2),
        Stage.READ: Spent(wall_s=4.0, computing_s=1.0, beside_s=3.0, entered=100),
        Stage.AWAIT: Spent(wall_s=1.0, entered=4),
        Stage.EMBED: Spent(wall_s=6.0, computing_s=5.0, entered=4),
    }
    return StageReport(slot=f"host/{pid}", pid=pid, stages=stages, main_s=5.5, process_s=8.0)


def test_stages_are_shares_of_the_time_and_of_the_computing_of_all_workers() -> None:
    stages = where_time_went([make_report(1), make_report(2)], wall_s=20.0, photos=200)["stages"]

    assert list(stages) == ["read", "await", "embed", "store", "no_bell", "other_threads"]
    assert stages["embed"] == {
        "wall_ms": pytest.approx(60.0),
        "wall_share": pytest.approx(0.6),
        "computing_ms": pytest.approx(50.0),
        "computing_share": pytest.approx(0.625),
        "overlap": None,
    }


def test_the_time_of_the_thread_that_works_on_chunks_is_the_whole() -> None:
    stages = where_time_went([make_report(1), make_report(2)], wall_s=20.0, photos=200)["stages"]

    assert sum(each["wall_share"] for name, each in stages.items() if name != "read") == pytest.approx(1.0)
    assert sum(each["computing_share"] for each in stages.values()) == pytest.approx(1.0)
    assert stages["no_bell"]["wall_share"] == pytest.approx(0.2)


def test_reading_says_how_much_of_it_overlaps_with_computing() -> None:
    stages = where_time_went([make_report(1)], wall_s=10.0, photos=100)["stages"]
    assert stages["read"]["overlap"] == pytest.approx(0.75)


def test_every_stage_is_said_in_words() -> None:
    assert set(WORDS) == set(Stage)


def stand_in(folder: Path, script: str) -> Path:
    """Write a program that takes py-spy's place."""
    program = folder / "py-spy"
    program.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_py_spy_watches_until_the_work_is_done(tmp_path: Path) -> None:
    program = stand_in(
        tmp_path,
        "import signal, sys\n"
        "def end(*_):\n"
        "    open(sys.argv[sys.argv.index('--output') + 1], 'w').write(' '.join(sys.argv[1:4]))\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGINT, end)\n"
        "print('py-spy> Sampling process 100 times a second. Press Control-C to exit.', flush=True)\n"
        "signal.pause()\n",
    )
    output = tmp_path / "raw.txt"
    with watching(program, 4711, output, style="raw"):
        assert not output.exists()
    assert output.read_text(encoding="utf-8") == "record --pid 4711"


def test_where_processes_may_not_be_traced_a_sentence_says_so(tmp_path: Path) -> None:
    script = "import sys\nprint('Error: Permission denied (os error 13)', file=sys.stderr)\nsys.exit(1)\n"
    program = stand_in(tmp_path, script)
    with pytest.raises(NotWatchedError, match=r"Permission denied.*ptrace_scope"):  # noqa: SIM117
        with watching(program, 4711, tmp_path / "raw.txt", style="raw"):
            raise AssertionError("it was watched")


def test_an_error_of_the_work_ends_the_watching(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "import signal\nprint('Sampling process', flush=True)\nsignal.pause()\n")
    with pytest.raises(ValueError, match="broken"), watching(program, 4711, tmp_path / "raw.txt", style="raw"):
        raise ValueError("broken")
    assert not [child for child in psutil.Process().children() if str(program) in " ".join(child.cmdline())]


def test_py_spy_is_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_pyspy()
    assert found is not None and found.name == program.name


def test_a_flame_graph_in_a_folder_that_does_not_exist_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    ran = run_command("bench", "profile", "--flame", tmp_path / "nowhere" / "flame.svg", "--json")
    assert ran.code == 2
    assert "Nothing was measured" in ran.document["error"]["message"]
