from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from oodbench.benchmark.checks import detector_outcomes
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import file_name
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.trials import plan
from oodbench.detectors import DetectorError
from oodbench.detectors.pyod import pyod
from tests.conftest import blobs

pytest.importorskip("pyod", reason="needs the extra oodbench[pyod]")
IMAGES, NEW = blobs(60), blobs(10, seed=1)


def test_it_is_pyod_s_detector_on_pixels() -> None:
    from pyod.models.hbos import HBOS

    detector = pyod("HBOS")(features="pixels", n_bins=7).fit(IMAGES)
    expected = HBOS(n_bins=7).fit(IMAGES.flatten(1).double().numpy()).decision_function(NEW.flatten(1).double().numpy())
    assert np.allclose(detector.score(NEW), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["HBOS", "KNN"])
def test_adapted_detectors_pass_the_checks(name: str) -> None:
    """But for training sets that are smaller than a neighbourhood, which PyOD refuses.

    HBOS looks at one feature at a time, and the residual is one of 65.
    """
    excused = {
        "KNN": {"fits_1_image", "fits_2_images"},
        "HBOS": {f"noise_scores_higher_{shape}" for shape in ("1x28x28", "3x32x32")},
    }
    failed = [outcome.name for outcome in detector_outcomes(pyod(name)) if outcome.status == "failed"]
    assert set(failed) <= excused[name]


def test_the_checks_find_that_ecod_looks_at_the_whole_batch() -> None:
    """ECOD joins the test images to the training images' distribution."""
    found = {outcome.name: outcome.status for outcome in detector_outcomes(pyod("ECOD"))}
    assert found["score_does_not_depend_on_batch_mates"] == "failed"
    assert found["saved_and_loaded_scores_the_same"] == "passed"


def test_parameters_and_names(plugins: Plugins) -> None:
    (trial,) = plan(
        plugins,
        detectors=["pyod:knn"],
        datasets=["digits"],
        classes=[0],
        settings=["pyod:knn.n_neighbors=3", "pyod:KNN.features=pixels"],
    )
    assert trial.detector == "pyod:KNN"
    assert trial.label == 'pyod:KNN@features="pixels",n_neighbors=3'
    assert trial.path.parts[1] == file_name(trial.label)
    assert plugins.detectors["pyod:KNN"] is plugins.detectors["pyod:knn"]
    assert len(fingerprint(plugins.detectors["pyod:KNN"])) == 12
    with pytest.raises(UsageError, match="Unknown parameter of pyod:KNN 'neighbours': did you mean n_neighbors"):
        plan(plugins, detectors=["pyod:KNN"], datasets=["digits"], settings=["pyod:KNN.neighbours=3"])


def test_bad_names_and_settings() -> None:
    with pytest.raises(DetectorError, match="PyOD has no detector 'ECDO': there is ECOD"):
        pyod("ECDO")
    with pytest.raises(DetectorError, match="features is 'components' or 'pixels', not 'colours'"):
        pyod("HBOS")(features="colours").fit(IMAGES)


def test_without_pyod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "oodbench.detectors.pyod.importlib.util.find_spec", lambda name: None if name == "pyod" else find_spec(name)
    )
    with pytest.raises(
        DetectorError, match=r"pyod:ECOD needs PyOD, which is not installed: pip install 'oodbench\[pyod"
    ):
        pyod("ECOD")


def test_saved_without_a_pickle(tmp_path: Path) -> None:
    cls = pyod("IForest")
    detector = cls(seed=5).fit(IMAGES)
    detector.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert torch.equal(cls.load(tmp_path).score(NEW), detector.score(NEW))
