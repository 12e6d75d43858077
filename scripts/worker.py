"""`facefleet worker`: one worker node, until it is told to stop. Its command `list` is in scripts/worker_list.py."""

import click

from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import write_json
from scripts.worker_list import list_


@command(
    "worker",
    cls=click.Group,
    invoke_without_command=True,
    subcommand_metavar="[list]",
    example="facefleet worker --device cuda:0\nfacefleet worker --device cpu --slots 4\nfacefleet worker list",
)
@click.option("--device", default="cpu", help="Where it computes: cpu or cuda:N.")
@click.option("--slots", type=click.IntRange(1, 256), default=1, help="Processes that share the device.")
@click.pass_context
def worker(context: click.Context, invocation: Invocation, device: str, slots: int) -> None:
    """Run a worker node, which identifies photos on one device.

    SIGTERM or Ctrl-C lets it finish what it is at; a second one stops it at once. No photo is lost either way.
    """
    if context.invoked_subcommand is not None:
        return
    from workers.node import run_worker_node

    code = run_worker_node(Settings.from_env(), device, slots)
    if invocation.as_json:
        write_json({"role": "worker", "device": device, "slots": slots, "exit_code": code})
    raise click.exceptions.Exit(code)


worker.add_command(list_)  # type: ignore[attr-defined]
