from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from oodbench.benchmark.running.interruption import (
    ENDING,
    check_interruption,
    exit_code,
    heed_one_interruption,
    interruption_held_back,
)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = [(number, signal.getsignal(number)) for number in ENDING]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before:
        signal.signal(number, handler)


def test_it_has_its_effect_at_the_end() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), interruption_held_back():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_to_end_is_heeded_once(number: signal.Signals, code: int) -> None:
    heed_one_interruption()
    reached = False
    with pytest.raises(KeyboardInterrupt), interruption_held_back():  # noqa: PT012
        os.kill(os.getpid(), number)
        reached = True
    assert reached
    assert exit_code() == code
    for other in ENDING:
        os.kill(os.getpid(), other)  # while the command clears away


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heed_one_interruption()
    os.kill(os.getpid(), signal.SIGHUP)
    assert exit_code() == 130  # nothing has come


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
