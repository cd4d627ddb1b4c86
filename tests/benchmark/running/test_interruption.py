from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from oodbench.benchmark.running.interruption import check_interruption, heed_one_interruption, interruption_held_back


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_it_has_its_effect_at_the_end() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), interruption_held_back():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruption_held_back():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_errors_come_through() -> None:
    with pytest.raises(ValueError, match="of its own"), interruption_held_back():
        raise ValueError("of its own")


def test_another_thread_has_nothing_to_hold_back() -> None:
    seen = []

    def enter() -> None:
        with interruption_held_back():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_python_does_not_pass_on_has_its_effect_all_the_same() -> None:
    """Raised in a callback of the garbage collector, an exception is printed, and gone."""
    heed_one_interruption()
    check_interruption()

    def interrupted(phase: str, _: object) -> None:
        if phase == "start":
            os.kill(os.getpid(), signal.SIGINT)

    gc.callbacks.append(interrupted)
    gc.collect()
    gc.callbacks.remove(interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_interruption()
    heed_one_interruption()  # the next command begins anew
    check_interruption()
