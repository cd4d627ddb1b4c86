from __future__ import annotations

import multiprocessing
import threading
import time

import pytest

from oodbench.benchmark.running.mailbox import THREAD, Mailbox, Report, Slot, mailbox
from oodbench.benchmark.trials import Trial

TRIAL = Trial("digits", "ae", 3, 0, (("epochs", 5),))


def fill(slot: Slot, number: int) -> None:
    for step in range(number):
        slot.put((TRIAL, step, number))


def collect(box: Mailbox, number: int) -> list[Report]:
    reports: list[Report] = []
    end = time.monotonic() + 30
    while len(reports) < number and time.monotonic() < end:
        reports += box.reports()
        time.sleep(0.01)
    return reports


def test_nothing_is_lost_of_what_another_process_puts_in() -> None:
    with mailbox() as box:
        sender = multiprocessing.get_context("spawn").Process(target=fill, args=(box.slot, 2000))
        sender.start()
        assert collect(box, 2000) == [(TRIAL, step, 2000) for step in range(2000)]
        assert list(box.reports()) == []
        sender.join()


def test_what_was_not_asked_for_hinders_nobody() -> None:
    with mailbox() as box:
        fill(box.slot, 2000)  # far more than a socket's queue holds


def test_what_is_no_report_does_no_harm() -> None:
    with mailbox() as box:
        box.slot.send(b"no pickle")
        fill(box.slot, 1)
        assert collect(box, 1) == [(TRIAL, 0, 1)]


def test_nobody_takes_a_report_when_it_is_closed() -> None:
    with mailbox() as box:
        assert THREAD in {thread.name for thread in threading.enumerate()}
    assert THREAD not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OSError, match="No such file"):
        box.slot.put((TRIAL, 0, 1))
