"""What has to hold for every detector; the contract comes first."""

from oodbench.benchmark.checks.check import Check
from oodbench.benchmark.checks.detector import (
    contract,
    fitting,
    independence,
    manners,
    parameters,
    refusals,
    sampling,
    saving,
    scoring,
    training,
)
from oodbench.benchmark.checks.detector.images import toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen

CHECKS: list[Check[Specimen]] = [
    *contract.CHECKS,
    *parameters.CHECKS,
    *fitting.CHECKS,
    *training.CHECKS,
    *scoring.CHECKS,
    *independence.CHECKS,
    *refusals.CHECKS,
    *sampling.CHECKS,
    *saving.CHECKS,
    *manners.CHECKS,
]

__all__ = ["CHECKS", "Specimen", "toy_images"]
