"""The file of groups: what it may look like, and what it is refused for."""

from pathlib import Path

import pytest

from core.errors import InputError
from scripts.person_groups import read_groups, stranger_names


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "groups.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_people_are_found_by_any_spelling_of_their_name(tmp_path: Path) -> None:
    groups = read_groups(write(tmp_path, "person,age\nZoë,old\nAda, young \n"), None)

    assert (groups.column, groups.names) == ("age", ("old", "young"))
    assert groups.find("nobody", "ZOE") == 0
    assert groups.find("Ada") == 1
    assert groups.find("Grace") is None


def test_a_stranger_is_called_by_folder_or_file(tmp_path: Path) -> None:
    groups = read_groups(write(tmp_path, "person,age\nAJ_Cook_0001,young\nold/amy,old\n"), None)

    assert groups.find(*stranger_names("AJ_Cook_0001.jpg")) == groups.names.index("young")
    assert groups.find(*stranger_names("old/amy")) == groups.names.index("old")
    assert groups.find(*stranger_names("amy")) is None


def test_one_of_several_columns_is_taken_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, "\ufeffage,person,town\n9,Ada,Ulm\n,Bo,\n")

    assert read_groups(file, "town").names == ("Ulm",)
    assert read_groups(file, "town").find("Bo") is None, "an empty cell is no group"


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("name,age\nAda,9\n", None, "no column 'person' (its columns: name, age)"),
        ("person\nAda\n", None, "0 columns beside 'person'"),
        ("person,age,town\nAda,9,Ulm\n", None, "2 columns beside 'person' (age, town)"),
        ("person,age\nAda,9\n", "town", "no column 'town' (its columns: person, age)"),
        ("person,age\nAda,9\nADA,8\n", None, "puts 'ADA' into two groups, '9' and '8'"),
        ("person,age\nAda,\n", None, "holds 0 groups"),
        ("person,age\n" + "".join(f"p{at},{at}\n" for at in range(51)), None, "holds 51 groups"),
        ("", None, "no column 'person' (its columns: none)"),
        (b"person,age\n\xff\xfe,9\n", None, "no CSV file in UTF-8"),
        ('person,age\n"Ada,9\n', None, "no CSV file in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, column: str | None, said: str
) -> None:
    file = write(tmp_path, text)

    with pytest.raises(InputError) as caught:
        read_groups(file, column)

    assert said in caught.value.message
    assert "Nothing was measured" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_groups(tmp_path / "none.csv", None)


def test_names_that_nobody_has_are_refused_as_they_are_written(tmp_path: Path) -> None:
    file = write(tmp_path, "person,age\nAda,9\nGrcae,8\nA,1\nB,1\nC,1\n")
    groups = read_groups(file, None)

    groups.check_people(["ada", "grcae", "a", "b", "c"], file)
    with pytest.raises(InputError, match=r"'Grcae', 'A', 'B' and 1 more\. Nothing was measured"):
        groups.check_people(["Ada"], file)
