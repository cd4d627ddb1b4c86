"""What is measured of a detector on a split: every figure with its unit and range."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

NAN = math.nan
Share = Annotated[float, Field(ge=0, le=1)]
"""A number in [0, 1]."""
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]

DETECTION = ("auroc", "aupr_out", "aupr_in", "fpr95")
"""Measures of scores; see `oodbench.benchmark.evaluation.metrics`."""
GENERATION = ("frechet", "kid", "density", "coverage", "class_fidelity", "novelty")
"""Measures of samples; see `oodbench.benchmark.evaluation.generation`."""
PROBES = ("noise", "one_colour", "shuffled", "blurred", "inverted", "noisy")
"""Images against which a detector is probed; see `oodbench.benchmark.evaluation.probes`."""


class Strict(BaseModel):
    """Frozen, finite, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Threshold(Strict):
    """Where normal ends, set with held-out normal images alone."""

    value: float = Field(description="An image whose score is above it is called out of distribution.")
    keeps: Share = Field(description="Share of new normal images kept at least, on average over held-out sets.")
    images: int = Field(ge=1, description="Held-out images that it was set with.")


class Oracle(Strict):
    """What choosing the epoch on the test images would have given (``--trace``)."""

    auroc: Share = Field(description="Best test AUROC over all epochs.")
    epoch: int = Field(ge=0, description="First epoch that has it.")
    last: Share = Field(description="AUROC after the last epoch.")


class Generation(Strict):
    """How good samples are, in the features of the dataset's classifier."""

    frechet: float = Field(description="Fréchet distance; 0 is best. Rounding can make it slightly negative.")
    kid: float = Field(description="Unbiased squared MMD (KID); about 0 is best, and it can be negative.")
    density: NonNegative = Field(description="About 1 is best.")
    coverage: Share = Field(description="Share of real neighbourhoods that hold a sample; 1 is best.")
    class_fidelity: Share = Field(description="Share of samples that are classified as the normal class.")
    novelty: NonNegative = Field(description="0: copies of training images; 1: as far from them as test images.")


class Measures(Strict):
    """What was measured of a detector on a split; NaN (None, empty) where nothing was, as in a failed trial.

    Images are counted, times are in seconds, memory is in MB (10⁶ bytes).
    """

    auroc: Share = Field(NAN, description="Area under the ROC curve; out of distribution is positive, ties count half.")
    aupr_out: Share = Field(NAN, description="Average precision with out of distribution as positive.")
    aupr_in: Share = Field(NAN, description="Average precision with normal as positive.")
    fpr95: Share = Field(NAN, description="FPR@95TPR: normal images flagged where 95 % of the OOD images are.")
    threshold: Threshold | None = Field(None, description="None where no images were held out.")
    normal_kept: Share = Field(NAN, description="Share of normal test images below the threshold.")
    ood_caught: Share = Field(NAN, description="Share of OOD test images above the threshold.")
    fit_seconds: NonNegative = Field(NAN, description="Time to train, in seconds.")
    score_images_per_second: NonNegative = Field(NAN, description="Test images scored in a second.")
    parameters: Count | None = Field(None, description="Floating-point numbers that the fitted model consists of.")
    peak_memory_mb: NonNegative = Field(NAN, description="Largest resident memory of the process, in MB.")
    train_images: Count | None = Field(None, description="Images trained on.")
    test_images: Count | None = Field(None, description="Images scored.")
    diagnostics: dict[str, float] = Field({}, description="What the method reports of its own training.")
    unhealthy: tuple[str, ...] = Field((), description="What is wrong with the trained model, a phrase each.")
    probes: dict[str, Share] = Field(
        {},
        description="AUROC of normal test images against images that are none: a name of `PROBES`, or another dataset.",
    )
    oracle: Oracle | None = Field(None, description="None where the trial was not traced.")
    frechet: float = Field(NAN, description="Fréchet distance of samples (classifier features); 0 is best.")
    kid: float = Field(NAN, description="KID of samples; about 0 is best.")
    density: NonNegative = Field(NAN, description="Density of samples; about 1 is best.")
    coverage: Share = Field(NAN, description="Coverage of samples; 1 is best.")
    class_fidelity: Share = Field(NAN, description="Share of samples classified as the normal class.")
    novelty: NonNegative = Field(NAN, description="Distance of samples from training images; 0 is a copy.")
    controls: dict[str, Generation] = Field({}, description="The same measures of real, replayed and bad images.")

    @model_serializer(mode="wrap")
    def _without_what_was_not_measured(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out NaN, which JSON does not have, and what keeps its empty default."""
        fields = type(self).model_fields
        return {
            name: value
            for name, value in handler(self).items()
            if not (isinstance(value, float) and math.isnan(value))
            and not (value is None and name in fields and fields[name].default is None)
        }
