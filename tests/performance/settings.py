"""How much is measured: in earnest, or only to try the code out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NORMAL_CLASS = 3
DATASETS = ("mnist", "cifar10")
AUTOENCODERS = ("ae", "vae", "memae", "memvae")


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes
    ----------
    detectors : tuple of str
        Which of the four autoencoders.
    classes : tuple of int
        Normal classes of the runs by which scaling is measured; an even number, as there are two processes.
    digits : tuple of int
        Normal classes of the run on digits.
    rounds : int
        How often what takes seconds is measured; the median counts.
    scored : int
        Test images that are scored in a round.
    scored_singly : int
        Test images that are scored in a round the plain way, one at a time.
    epochs : int or None
        Of every training; None: the detectors' defaults.
    full : bool
        Whether to run the 80 trials of the four autoencoders, too.
    """

    detectors: tuple[str, ...] = AUTOENCODERS
    classes: tuple[int, ...] = (3, 8)
    digits: tuple[int, ...] = tuple(range(10))
    rounds: int = 3
    scored: int = 4000
    scored_singly: int = 1000
    epochs: int | None = None
    full: bool = False

    @property
    def changes(self) -> tuple[tuple[str, Any], ...]:
        """Hyperparameters of a trial that are not the defaults."""
        return () if self.epochs is None else (("epochs", self.epochs),)

    def options(self, *detectors: str) -> list[str]:
        """Give the options of ``bench run`` that choose autoencoders, with the same hyperparameters."""
        words = [word for detector in detectors for word in ("--detector", detector)]
        for detector in detectors:
            words += [word for name, value in self.changes for word in ("--set", f"{detector}.{name}={value}")]
        return words


QUICK = Settings(detectors=("ae", "memvae"), digits=(0, 1), rounds=1, scored=500, scored_singly=50, epochs=1)


@dataclass(frozen=True)
class Cell:
    """A detector on a dataset, trained on `NORMAL_CLASS`."""

    dataset: str
    detector: str

    def __str__(self) -> str:
        return f"{self.dataset}-{self.detector}"

    @property
    def columns(self) -> dict[str, str]:
        """Name it in a row of the results."""
        return {"dataset": self.dataset, "detector": self.detector}
