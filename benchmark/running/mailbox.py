"""How worker processes of this machine report to the command."""

from __future__ import annotations

import errno
import pickle
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from oodbench.benchmark.trials import Trial

Report = tuple[Trial, int, int]
"""A trial, how many steps it has made, and of how many."""
LARGEST = 65536
"""Bytes of a report."""
SECONDS_TO_SEND = 1.0
THREAD = "reports"


@dataclass(frozen=True)
class Slot:
    """Where reports are put in, from any process; each is a datagram of its own, so that a dying one can jam nothing.

    Attributes
    ----------
    path : str
        Of the socket.
    """

    path: str

    def put(self, report: Report) -> None:
        """Send a report; raises OSError if nobody takes it."""
        self.send(pickle.dumps(report))

    def send(self, datagram: bytes) -> None:
        """Send a packed report; an empty one ends the mailbox."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SECONDS_TO_SEND)
            sender.connect(self.path)
            end = time.monotonic() + SECONDS_TO_SEND
            while True:
                try:
                    sender.send(datagram)
                    return
                except OSError as error:  # macOS does not wait for room
                    if error.errno != errno.ENOBUFS or time.monotonic() > end:
                        raise
                    time.sleep(0.01)


@dataclass(frozen=True)
class Mailbox:
    """Where reports arrive.

    Attributes
    ----------
    slot : Slot
        For those who send them.
    arrived : SimpleQueue
        Those that nobody has asked for yet.
    """

    slot: Slot
    arrived: queue.SimpleQueue[Report]

    def reports(self) -> Iterator[Report]:
        """Empty it."""
        while not self.arrived.empty():
            yield self.arrived.get()


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Lend a mailbox."""
    # not in the folder of the results, whose path may be too long for a socket's
    with (
        tempfile.TemporaryDirectory(prefix="oodbench-", ignore_cleanup_errors=True) as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        box = Mailbox(Slot(str(Path(folder, "reports"))), queue.SimpleQueue())
        receiver.bind(box.slot.path)
        thread = threading.Thread(target=_receive, args=(receiver, box.arrived), name=THREAD, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            with suppress(OSError):  # somebody has tidied up the temporary folder
                box.slot.send(b"")
                thread.join(SECONDS_TO_SEND)


def _receive(receiver: socket.socket, arrived: queue.SimpleQueue[Report]) -> None:
    while packed := receiver.recv(LARGEST):
        with suppress(Exception):  # whatever it is, the next one may be a report
            arrived.put(pickle.loads(packed))
