"""A saved model: complete, and without a pickle."""

from __future__ import annotations

import io
import pickletools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from oodbench.benchmark.checks.check import Check, CheckFailed, adds_to, demand
from oodbench.benchmark.checks.detector.sampling import draw, sampling
from oodbench.benchmark.checks.detector.specimen import Specimen

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)
SAVED = (
    "Saved are attributes that end in _ and hold tensors, plain values, or torch modules that the class's build(shape) "
    "makes: return everything else from state, and take it back in restore."
)


@contextmanager
def _saved(specimen: Specimen) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        specimen.fitted.save(Path(folder))
        yield Path(folder)


@check
def saved_and_loaded_scores_the_same(specimen: Specimen) -> None:
    """A model that was saved and loaded returns the same scores to the last bit."""
    with _saved(specimen) as folder:
        try:
            loaded = specimen.cls.load(folder)
            scores = loaded.score(specimen.new_images)
        except Exception as error:
            raise CheckFailed(f"the loaded model raised {type(error).__name__}: {error} {SAVED}") from error
    demand(
        torch.equal(scores, specimen.scores),
        "a saved and loaded model returns other scores: it keeps something that is not saved. " + SAVED,
    )


@check
def saved_and_loaded_samples_the_same(specimen: Specimen) -> None:
    """A model that was saved and loaded draws the same samples."""
    detector = sampling(specimen)
    with _saved(specimen) as folder:
        drawn = draw(specimen.cls.load(folder), 4)
    demand(
        torch.equal(drawn, draw(detector, 4)),
        "a saved and loaded model draws other samples: it keeps something that is not saved. " + SAVED,
    )


@check
def saves_no_pickle(specimen: Specimen) -> None:
    """A saved model holds no pickle, which could run code when it is loaded."""
    with _saved(specimen) as folder:
        pickles = [path.name for path in sorted(folder.rglob("*")) if path.is_file() and _is_pickle(path)]
    demand(not pickles, f"save writes {', '.join(pickles)}, which holds a pickle: return tensors from state instead.")


def _is_pickle(path: Path) -> bool:
    content = path.read_bytes()
    if content.startswith(b"PK") or path.suffix in (".pkl", ".pickle", ".joblib", ".pt", ".pth"):
        return True  # torch.save writes a zip archive of pickles
    if not content.startswith(b"\x80"):
        return False
    try:
        pickletools.dis(content, out=io.StringIO())
    except ValueError:
        return False
    return True


@check
def counts_its_parameters(specimen: Specimen) -> None:
    """``parameter_count`` returns a whole number, and ``diagnostics`` finite ones."""
    count = specimen.fitted.parameter_count()
    demand(isinstance(count, int) and count >= 0, f"parameter_count returns {count!r}: return an int, at least 0.")
    diagnostics = specimen.fitted.diagnostics(specimen.new_images)
    bad = [name for name, value in diagnostics.items() if not np.isfinite(value)]
    demand(not bad, f"diagnostics returns no finite number for {', '.join(bad)}: guard logarithms and divisors.")
