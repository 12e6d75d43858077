"""`python -m tests.chaos`: plays the cases, prints one line each, and fails when a photo was lost or stored twice."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.cases import DATABASES, Case, all_cases
from tests.chaos.runner import MissingError, run_case
from tests.chaos.tally import header
from tests.services import PostgresServer, find_postgres_binaries, short_temporary_folder


def main() -> int:
    """Play what was asked for; return 1 when a case was lost."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends this ends what it started
    if arguments.list:
        for case in all_cases():
            print(f"{case.name:28} {', '.join(case.databases):20} {case.what}")
        return 0
    kinds = [arguments.database] if arguments.database else DATABASES
    chosen = [
        (case, kind)
        for case in all_cases()
        for kind in (case.short if arguments.short else case.databases)
        if kind in kinds and (not arguments.case or case.name in arguments.case)
    ]
    if not chosen:
        print("no such case: see --list", file=sys.stderr)
        return 2
    print(header())
    with _postgres(any(kind == "postgresql" for _, kind in chosen)) as postgres:
        # A list, not a generator: every case is played, whatever became of the one before.
        good = [_play(case, kind, arguments.seed, postgres, arguments.logs) for case, kind in chosen]
    print(f"{sum(good)} of {len(good)} cases without loss")
    return 0 if all(good) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill things and count what was lost.")
    parser.add_argument("--case", action="append", metavar="NAME", help="this case only; may be given several times")
    parser.add_argument("--database", choices=DATABASES, help="on this database only")
    parser.add_argument("--seed", type=int, default=0, help="another number plays other faults (default: 0)")
    parser.add_argument("--short", action="store_true", help="a handful of cases, as pytest plays them")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep every case's logs and journal there")
    parser.add_argument("--list", action="store_true", help="list the cases")
    return parser.parse_args()


def _play(case: Case, kind: str, seed: int, postgres: PostgresServer | None, logs: Path | None) -> bool:
    """Play a case and print its line; return whether nothing was lost."""
    try:
        tally = run_case(case, kind, seed, postgres, logs)
    except MissingError as reason:
        print(f"{case.name} on {kind} was not played: {reason}", flush=True)
        return True
    except Exception as error:
        print(f"{case.name} on {kind}, seed {seed}, FAILED: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"{tally}{'  LOST' if tally.lost else ''}", *tally.notes, sep="\n    ", flush=True)
    return not tally.lost


@contextmanager
def _postgres(wanted: bool) -> Iterator[PostgresServer | None]:
    binaries = find_postgres_binaries() if wanted else None
    if binaries is None:
        if wanted:
            raise SystemExit("PostgreSQL is missing: install it, or try --database sqlite")
        yield None
        return
    with short_temporary_folder() as folder:
        server = PostgresServer(binaries=binaries, folder=folder)
        server.start()
        server.make_template()
        try:
            yield server
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
