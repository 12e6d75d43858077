"""kombu's Redis transport with one change: when a bell cannot be acknowledged, the connection is made anew.

kombu logs the failure and goes on. The bell then counts as held for ever, and a node that holds all the bells it may
takes no more of them: it looks alive and never works again.
"""

from logging import Logger

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class _Message(virtual.Message):
    """A bell that lets the worker's event loop hear of a lost connection; Celery knows there what to do."""

    def ack_log_error(self, _logger: Logger, _errors: tuple[type[Exception], ...], multiple: bool = False) -> None:
        """Acknowledge."""
        self.ack(multiple=multiple)  # type: ignore[no-untyped-call]

    def reject_log_error(self, _logger: Logger, _errors: tuple[type[Exception], ...], requeue: bool = False) -> None:
        """Put back, or drop."""
        self.reject(requeue=requeue)  # type: ignore[no-untyped-call]


class _Channel(redis.Channel):
    Message = _Message


class Transport(redis.Transport):
    """What `redis://` means to a worker node."""

    Channel = _Channel


def use_in_this_process() -> None:
    """Have kombu's Redis URLs lead here. Its setting for a transport would show in every URL that it logs."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__name__}"))
