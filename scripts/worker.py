"""`facefleet worker`: one worker node, until it is told to stop."""

import click

from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import write_json


@command("worker", example="facefleet worker --device cuda:0\nfacefleet worker --device cpu --slots 4")
@click.option("--device", default="cpu", help="Where it computes: cpu or cuda:N.")
@click.option("--slots", type=click.IntRange(1, 256), default=1, help="Processes that share the device.")
def worker(invocation: Invocation, device: str, slots: int) -> None:
    """Run a worker node, which identifies photos on one device.

    SIGTERM or Ctrl-C lets it finish what it is at; a second one stops it at once. No photo is lost either way.
    """
    from workers.node import run_worker_node

    code = run_worker_node(Settings.from_env(), device, slots)
    if invocation.as_json:
        write_json({"role": "worker", "device": device, "slots": slots, "exit_code": code})
    raise click.exceptions.Exit(code)
