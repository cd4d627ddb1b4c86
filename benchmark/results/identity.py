"""What a stored result must have in common with today's code to be up to date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.benchmark.trials import Trial, make_detector

if TYPE_CHECKING:
    from oodbench.benchmark.plugins import Plugins
    from oodbench.benchmark.results.result import TrialResult


@dataclass(frozen=True)
class Identity:
    """The code, data and settings that a result is of, apart from the trial itself.

    The fields are those of the same names in `TrialResult`.

    Attributes
    ----------
    fingerprint : str or None
        Of the detector's code: 12 hexadecimal digits; None for a detector that cannot be constructed.
    data_version : str
        Revision of the data; empty for data that never change.
    classifier : str or None
        Digest of the classifier in whose features samples are measured; None where none are.
    hyperparameters : mapping
        Every hyperparameter, as JSON values.
    """

    fingerprint: str | None = None
    data_version: str = ""
    classifier: str | None = None
    hyperparameters: Mapping[str, Any] | None = None

    def matches(self, result: TrialResult) -> bool:
        """Return whether a stored result of the same trial is of this code, data and settings."""
        return self == Identity(result.fingerprint, result.data_version, result.classifier, result.hyperparameters)


def identity_of(trial: Trial, plugins: Plugins) -> Identity:
    """Return the identity that a result of a trial has today.

    Parameters
    ----------
    trial : Trial
        Which trial.
    plugins : Plugins
        Where its detector and dataset are found.

    Returns
    -------
    Identity

    Raises
    ------
    Exception
        Whatever the detector's constructor raises.
    TypeError
        A hyperparameter is no JSON value.
    """
    # these import torch
    from oodbench.benchmark.evaluation.classifier import digest_of
    from oodbench.datasets.components.protocols import PROTOCOLS
    from oodbench.detectors.base import can_sample

    detector, dataset = make_detector(plugins, trial), plugins.datasets[trial.dataset]
    measured = can_sample(type(detector)) and PROTOCOLS[trial.protocol].tests_test_part_only
    return Identity(
        fingerprint=_fingerprint(type(detector)),
        data_version=dataset.version,
        classifier=digest_of(dataset) if measured else None,
        hyperparameters=json.loads(json.dumps(detector.hyperparameters(dataset.shape))),  # as read from a file
    )


_fingerprint = cache(fingerprint)
"""A process runs many trials of one code."""
