from __future__ import annotations

import pytest

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.running.device import choose_device


def test_device() -> None:
    with pytest.raises(UsageError, match="--device is auto, cpu or cuda, not 'tpu'"):
        choose_device("tpu")
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda")
