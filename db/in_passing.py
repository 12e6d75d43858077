"""SQLite rows updated in passing: one statement goes through them in the order of their key, and asks for each value.

A statement a row, of which there are tens of thousands, spends more on finding the row than on changing it.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

_RAISED = "user-defined function raised exception"
"""What SQLite says of every error in a function."""


def update_in_passing(
    driver: sqlite3.Connection,
    table: str,
    values: dict[str, Sequence[Any]],
    same: Sequence[str],
    expected: dict[str, Sequence[Any]],
    within: str,
) -> int | None:
    """Set columns in all rows that a condition finds, and return how many there were.

    Args:
        driver: in a transaction.
        table: its name.
        values: columns to set, at least one, each with what it is in one row after the other.
        same: columns that are the same in all rows afterwards, as SQL.
        expected: what the rows hold that are to be found, one after the other: first the columns of the table's key.
        within: the condition; the rows are those of a range of the key, so that SQLite goes through them in its order.

    Returns:
        None where another row was found than is expected, or more of them, or in another order; nothing was changed.
        Where fewer were found than expected, their number.
    """
    rows = zip(*expected.values(), strict=True)
    first, *others = values
    of_first = iter(values[first])

    def value_of(*found: Any) -> Any:
        if next(rows, None) != found:
            raise LookupError
        return next(of_first)

    functions: dict[str, tuple[int, Any]] = {f"next_{first}": (len(expected), value_of)}
    functions |= {f"next_{column}": (0, iter(values[column]).__next__) for column in others}
    setting = [f"{first} = next_{first}({', '.join(expected)})", *(f"{column} = next_{column}()" for column in others)]
    statement = f"UPDATE {table} SET {', '.join([*setting, *same])} WHERE {within}"  # noqa: S608
    for name, (arguments, function) in functions.items():
        driver.create_function(name, arguments, function)
    try:
        with closing(driver.cursor()) as cursor:
            return int(cursor.execute(statement).rowcount)
    except sqlite3.OperationalError as error:
        if str(error) != _RAISED:
            raise
        return None
    finally:
        # SQLite keeps a function as long as the connection is open, and a function its values.
        for name, (arguments, _) in functions.items():
            driver.create_function(name, arguments, None)
