"""The entry point: the table of commands. Each has its own file, which is imported when the command is used."""

import logging
import sys
import warnings

import click

from scripts.group import Entry, LazyGroup

_EVERYTHING = "Everything at once"
_PEOPLE = "People and models"
_JOBS = "Jobs and results"
_SERVICES = "Services"

COMMANDS = {
    "up": Entry(
        target="scripts.up:up",
        summary="Run everything on this machine: Redis, workers, trainer, sweeper.",
        section=_EVERYTHING,
    ),
    "demo": Entry(
        target="scripts.demo:demo",
        summary="Show the whole story in one go, on drawn faces or on your photos.",
        section=_EVERYTHING,
    ),
    "doctor": Entry(
        target="scripts.doctor:doctor",
        summary="Check this installation and say how to mend what is wrong.",
        section=_EVERYTHING,
    ),
    "people": Entry(
        target="scripts.people:people",
        summary="Import labelled photos, look at the people who can be named, merge and rename them.",
        section=_PEOPLE,
    ),
    "label": Entry(
        target="scripts.label:label",
        summary="Say whose face it is, whose it is not, or that it is none to be named.",
        section=_PEOPLE,
    ),
    "retrain": Entry(
        target="scripts.retrain:retrain",
        summary="Train a model from the labelled photos and make it the one that serves.",
        section=_PEOPLE,
    ),
    "run": Entry(
        target="scripts.run:run_",
        summary="Look at training runs, follow them and cancel them.",
        section=_PEOPLE,
    ),
    "evaluate": Entry(
        target="scripts.evaluate:evaluate",
        summary="Measure a model on labelled photos and on strangers, without storing anything.",
        section=_PEOPLE,
    ),
    "model": Entry(
        target="scripts.model:model",
        summary="Look at the model versions, say which one serves, and go back.",
        section=_PEOPLE,
    ),
    "weights": Entry(
        target="scripts.weights:weights",
        summary="List pretrained weights, get them, and check that they are unchanged.",
        section=_PEOPLE,
    ),
    "submit": Entry(
        target="scripts.submit:submit",
        summary="Submit photos to be identified.",
        section=_JOBS,
    ),
    "job": Entry(
        target="scripts.job:job",
        summary="Look at jobs, follow them, and stop them or let them go on.",
        section=_JOBS,
    ),
    "results": Entry(
        target="scripts.results:results",
        summary="Query results: who is in which photo, and how sure that is.",
        section=_JOBS,
    ),
    "rescore": Entry(
        target="scripts.rescore:rescore",
        summary="Decide anew about all faces from their stored embeddings, without touching photos.",
        section=_JOBS,
    ),
    "review": Entry(
        target="scripts.review:review",
        summary="Go through the faces that are most worth a label, and say who they are.",
        section=_JOBS,
    ),
    "cluster": Entry(
        target="scripts.cluster:cluster",
        summary="Group faces that nobody has named, and name each group once.",
        section=_JOBS,
    ),
    "detect": Entry(
        target="scripts.detect:detect",
        summary="Find the faces in one photo and show what is found: boxes, landmarks, quality and reasons.",
        section=_JOBS,
    ),
    "worker": Entry(
        target="scripts.worker:worker",
        summary="Run a worker node, which identifies photos on one device.",
        section=_SERVICES,
    ),
    "trainer": Entry(
        target="scripts.trainer:trainer",
        summary="Run a trainer, which works off training runs one by one.",
        section=_SERVICES,
    ),
    "sweeper": Entry(
        target="scripts.sweeper:sweeper",
        summary="Run the sweeper, which takes back lost work and hands it out again.",
        section=_SERVICES,
    ),
    "serve": Entry(
        target="scripts.serve:serve",
        summary="Serve the status page (/), the health check (/health) and Prometheus metrics (/metrics) over HTTP.",
        section=_SERVICES,
    ),
    "db": Entry(
        target="scripts.database:db",
        summary="Make the database's tables, bring them up to date, or check them.",
        section=_SERVICES,
    ),
    "bench": Entry(
        target="scripts.bench.group:bench",
        summary="Measure how fast this machine identifies photos, or how well a pretrained backbone does.",
        section=_SERVICES,
    ),
}


@click.group(
    "facefleet",
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
    epilog="\b\nExit codes: 0 done, 1 finished with failures to look at, 2 wrong usage, 3 a service is unreachable.\n"
    "Settings are read from FACEFLEET_* variables. First steps: `facefleet demo`.",
)
@click.version_option(package_name="facefleet", message="%(prog)s %(version)s")
def cli() -> None:
    """Identify people in large batches of photos on a cluster of queue workers that you own."""


def main() -> None:
    """Run the command line of this process."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings are for developers: tests and `python -W` show them
    logging.getLogger().addHandler(logging.NullHandler())  # services set up their own log
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    cli.main()


if __name__ == "__main__":
    main()
