"""The example detectors that the README shows pass the checks, and can be run from their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodbench.benchmark.checks import check_detector
from oodbench.benchmark.cli.app import app
from oodbench.detectors import Detector
from tests.examples.local_outlier_factor import LOF
from tests.examples.torch_detector import TinyAutoencoder

HERE = Path(__file__).parent


@pytest.mark.parametrize("detector", [TinyAutoencoder(), LOF()])
def test_examples_pass_the_checks(detector: Detector) -> None:
    check_detector(detector)


@pytest.mark.parametrize(("file", "cls"), [("torch_detector.py", TinyAutoencoder), ("local_outlier_factor.py", LOF)])
def test_the_command_checks_them(file: str, cls: type[Detector]) -> None:
    result = CliRunner().invoke(app, ["check", str(HERE / file)])
    assert result.exit_code == 0, result.output
    assert f"{cls.name}: " in result.stdout
    assert " 0 failed" in result.stdout
    assert ("fits_1_image: a single image has no neighbors" in result.stdout) == (cls is LOF)
