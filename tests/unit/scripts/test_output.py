import io

import pytest

from scripts.output import (
    add_row,
    make_console,
    make_table,
    printable,
    shorten,
    show_bytes,
    show_duration,
    show_share,
)


def test_a_file_name_cannot_command_the_terminal() -> None:
    assert printable("\x1b[2J\u202eoops\n\x07") == r"\x1b[2J\u202eoops\n\x07"


def test_names_of_all_scripts_stay_as_they_are() -> None:
    for name in ("Zoë Ångström", "山田 太郎", "نیما‌جان", "Ada & <Grace> [bold]"):
        assert printable(name) == name


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, None),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations_are_short(seconds: float | None, shown: str | None) -> None:
    assert show_duration(seconds) == shown


def test_shares_and_sizes_have_units() -> None:
    assert show_share(0.98765) == "98.8 %"
    assert show_share(None) is None
    assert show_bytes(512) == "512 B"
    assert show_bytes(3 * 2**30) == "3.0 GiB"


def test_a_shortened_path_keeps_its_end() -> None:
    assert shorten("/data/album/0001.jpg", 12) == "…um/0001.jpg"
    assert shorten("0001.jpg", 12) == "0001.jpg"


def test_a_table_in_a_file_has_neither_colours_nor_markup_nor_shortened_cells() -> None:
    file = io.StringIO()
    table = make_table(["Name", ">Photos"])
    add_row(table, "[red]" + "x" * 300, 7, style="bold red")
    make_console(file).print(table)

    assert "\x1b" not in file.getvalue()
    assert "[red]" + "x" * 300 in file.getvalue()
