"""What the two ends of the queue agree on: names of queues and tasks, and how a connection to Redis behaves.

A bell carries one of these task names; one for a run also the run's id. Nothing else: what is due stands in the
ledger. Light: bells are rung by every command.
"""

from typing import Any

IDENTIFY_QUEUE = "identify"
TRAIN_QUEUE = "train"

IDENTIFY_TASK = "facefleet.identify"
TRAIN_TASK = "facefleet.train"

VISIBILITY_TIMEOUT_S = 3600
"""Unacknowledged bells are delivered again after this. The same on every participant; the sweeper is much earlier."""


def transport_options(*, patience_s: float) -> dict[str, Any]:
    """Return kombu's options for a connection that gives up on a silent Redis after `patience_s`."""
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "socket_timeout": patience_s,
        "socket_connect_timeout": min(patience_s, 5.0),
        "socket_keepalive": True,
        "health_check_interval": 10,  # finds a half-open connection (kombu 5.7 checks the blocking read too)
    }
