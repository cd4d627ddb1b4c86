"""Stamps results anew whose detector's code was rewritten without changing what it computes.

Usage: ``python -m oodbench.benchmark.results.restamp COMMIT [--write] [--data-dir DIR] [--folder LEADERBOARD]``

COMMIT is a commit of this repository whose code the results are of. Its detectors and today's are trained on the same
real images, with the hyperparameters of the results, in a process each. Where scores, samples, reconstructions,
diagnostics and parameter counts are equal bit for bit, and the hyperparameters too, the results get today's fingerprint
and schema; nothing else in them changes. All others stay as they are, and are listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results import recompute
from oodbench.benchmark.results.collection import Results
from oodbench.benchmark.results.identity import identity_of
from oodbench.benchmark.results.provenance import CHECKOUT
from oodbench.benchmark.results.result import TrialResult
from oodbench.benchmark.results.store import Store
from oodbench.datasets.components.protocols import PROTOCOLS

RENAMED = {
    "components": "n_components",
    "neighbours": "n_neighbors",
    "trees": "n_estimators",
    "outlier_share": "nu",
    "sharpness": "gamma",
    "mixture_components": "n_gaussians",
    "least_steps": "min_steps",
}
"""Hyperparameters with other names than in the results."""
TRAINED_ON, HELD_OUT, TESTED = 200, 50, 200
"""Images."""
NORMAL_CLASS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, report, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commit", help="whose code the results are of")
    parser.add_argument("--folder", type=Path, default=Path("leaderboard"), help="a leaderboard's folder")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the datasets lie")
    parser.add_argument("--write", action="store_true", help="write the results that may be stamped anew")
    given = parser.parse_args(arguments)
    plugins = Plugins.load()
    stores = [Store.at(given.folder, protocol) for protocol in PROTOCOLS]
    stored = [(store, result) for store in stores for result in Results.from_disk(store.results, store.protocol)]
    verdicts, fingerprint_of = compare(Results(result for _, result in stored), given.commit, given.data_dir, plugins)
    counts: Counter[tuple[str, str]] = Counter()
    for store, result in stored:
        verdict = verdicts[case(result)]
        if not verdict and result.fingerprint != fingerprint_of[result.detector]:
            verdict = f"of other code than {given.commit}"
        new = stamped(result, plugins) if not verdict else result
        verdict = verdict or differences(new, plugins)
        if given.write and not verdict:
            store.write(new)
        counts[case(result), verdict or "stamped anew"] += 1
    for (name, verdict), count in sorted(counts.items()):
        print(f"{name}: {count} {verdict}")
    if not given.write:
        print("Nothing was written: add --write.")


def case(result: TrialResult) -> str:
    """Return what results have in common that are proved together."""
    return f"{result.dataset}/{result.label}"


def compare(results: Results, commit: str, data: Path, plugins: Plugins) -> tuple[dict[str, str], dict[str, str]]:
    """Run the code of a commit and today's.

    Parameters
    ----------
    results : Results
        Say what is to be compared.
    commit : str
        The earlier code.
    data : Path
        Where the datasets lie.
    plugins : Plugins
        Where they are found.

    Returns
    -------
    verdicts : dict
        For each case what differs; empty if nothing does.
    fingerprints : dict
        Of the earlier detectors, by name.
    """
    cases = {case(result): (result.dataset, result.detector, result.changes) for result in results}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.save(
            {dataset: some_images(plugins, dataset, data) for dataset in results.class_counts}, folder / "images"
        )
        archive = subprocess.run(["git", "archive", commit], cwd=CHECKOUT, check=True, capture_output=True).stdout
        (folder / "checkout").mkdir()
        subprocess.run(["tar", "-x", "-C", str(folder / "checkout")], input=archive, check=True)
        renamed = {key: (dataset, name, rename(changes)) for key, (dataset, name, changes) in cases.items()}
        both = {"old": (folder / "checkout", cases), "new": (CHECKOUT, renamed)}
        processes = []
        for name, (checkout, given) in both.items():
            (folder / f"{name}.json").write_text(json.dumps(given))
            files = [str(folder / file) for file in (f"{name}.json", "images", f"{name}.pt")]
            environment = {"PYTHONPATH": str(importable(checkout, folder / name)), "OMP_NUM_THREADS": "1"}
            command = ["env", *(f"{key}={value}" for key, value in environment.items()), sys.executable]
            # without its folder on the path, whose modules have the names of others
            processes.append(subprocess.Popen([*command, "-P", str(recompute.__file__), *files]))
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit("The detectors could not be compared.")
        old, new = (torch.load(folder / f"{name}.pt") for name in both)
    return {key: difference(old[key], new[key]) for key in cases}, old["fingerprints"]


def importable(checkout: Path, folder: Path) -> Path:
    """Return a folder from which a checkout can be imported as oodbench, whatever its layout."""
    package = folder / "oodbench"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("benchmark", "datasets", "detectors"):
        (package / name).symlink_to(checkout / name)
    return folder


def some_images(plugins: Plugins, dataset: str, data: Path) -> dict[str, torch.Tensor]:
    """Return a few images of a dataset, float32 (N, C, H, W) in [0, 1]; those to train on are of one class."""
    source = plugins.datasets[dataset](data)
    train, test = source.load("train"), source.load("test")
    normal = train.images[train.labels == NORMAL_CLASS].float() / 255
    return {
        "validation": normal[:HELD_OUT],
        "train": normal[HELD_OUT : HELD_OUT + TRAINED_ON],
        "test": test.images[:TESTED].float() / 255,
    }


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what differs between two outcomes; empty if nothing does."""
    for outcome in (old, new):
        if "error" in outcome:
            return f"could not be compared ({outcome['error']})"
    different = [key for key in old if not _equal(old[key], new[key])]
    return f"compute other {', '.join(different)} than before" if different else ""


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


def rename(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters under today's names."""
    return {RENAMED.get(name, name): value for name, value in hyperparameters.items()}


def stamped(result: TrialResult, plugins: Plugins) -> TrialResult:
    """Return a result with today's fingerprint and names of hyperparameters."""
    fingerprint = identity_of(result.trial, plugins).fingerprint
    renamed = dict(sorted(rename(result.hyperparameters).items()))
    return result.model_copy(update={"fingerprint": fingerprint, "hyperparameters": renamed})


def differences(result: TrialResult, plugins: Plugins) -> str:
    """Return why a result with today's fingerprint would be run again all the same; empty if it would not."""
    if rename(result.changes) != result.changes:
        return "have changes with other names now"
    identity = identity_of(result.trial, plugins)
    fields = ("hyperparameters", "data_version", "classifier")
    different = [field for field in fields if getattr(identity, field) != getattr(result, field)]
    if "hyperparameters" in different:
        pairs = set(map(repr, result.hyperparameters.items())) ^ set(
            map(repr, (identity.hyperparameters or {}).items())
        )
        different.append(f"({', '.join(sorted(pairs))})")
    if not set(plugins.detectors[result.detector].unhealthy(result.diagnostics)) <= set(result.unhealthy):
        different.append("unhealthy")
    return f"have other {', '.join(different)} today" if different else ""


if __name__ == "__main__":
    main()
