from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmark.cli.command import done


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where two detectors have run on one split, one with changed hyperparameters."""
    folder = tmp_path_factory.mktemp("finished")
    select = ["--dataset", "digits", "--class", "3", "--detector", "gmm,vae"]
    done("run", *select, "--out", folder, "--set", "vae.epochs=3")
    return folder
