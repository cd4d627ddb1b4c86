from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from oodbench.benchmark.interruption import interruption_held_back


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
