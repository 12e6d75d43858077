"""SIGTERM while work is under way is a request; the pool's own handler is back when the work is done."""

import signal

import pytest

from workers.stop import StopFlag, StopRequested


def test_a_busy_process_is_asked_and_not_ended() -> None:
    flag = StopFlag()
    before = signal.getsignal(signal.SIGTERM)
    with flag.busy():
        flag.check()
        signal.raise_signal(signal.SIGTERM)  # to this thread: another one might take it after the block
        with pytest.raises(StopRequested):
            flag.check()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_process_that_was_asked_to_stop_takes_no_more_work() -> None:
    flag = StopFlag()
    flag.requested = True
    with pytest.raises(SystemExit), flag.busy():
        pytest.fail("worked all the same")
