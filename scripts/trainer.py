"""`facefleet trainer`: one trainer, until it is told to stop."""

import click

from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import write_json


@command("trainer", example="facefleet trainer --device cuda:0\nfacefleet trainer --device cuda:0 --device cuda:1")
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=["cpu"],
    show_default="cpu",
    help="Where it computes: cpu or cuda:N; several cuda:N share a run's networks.",
)
def trainer(invocation: Invocation, devices: tuple[str, ...]) -> None:
    """Run a trainer, which works off training runs one by one.

    SIGTERM or Ctrl-C gives the run under way back; it goes on from its last epoch when a trainer is there again.
    """
    from workers.node import run_trainer_node

    code = run_trainer_node(Settings.from_env(), devices)
    if invocation.as_json:
        write_json({"role": "trainer", "devices": devices, "exit_code": code})
    raise click.exceptions.Exit(code)
