"""A score depends on its image alone: not on chance, on the rest of the batch, or on what was scored before."""

from __future__ import annotations

import torch
from torch import Tensor

from oodbench.benchmark.checks.check import Check, adds_to, demand
from oodbench.benchmark.checks.detector.images import FEW, NEW, far_images, toy_images
from oodbench.benchmark.checks.detector.specimen import Specimen

CHECKS: list[Check[Specimen]] = []
check = adds_to(CHECKS)
RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""How far apart two scores of one image may be that were computed in different batches."""


@check
def score_is_no_random_draw(specimen: Specimen) -> None:
    """Scored twice, images get the same scores, whatever the global random state."""
    torch.manual_seed(98765)
    again = specimen.fitted.score(specimen.new_images)
    demand(
        torch.equal(again, specimen.scores),
        "scored twice, the same images get different scores: draw nothing at random in score (take a posterior's mean; "
        "switch dropout off by network.eval()).",
    )


@check
def score_does_not_depend_on_batch_mates(specimen: Specimen) -> None:
    """An image's score is the same beside very different images."""
    beside = torch.cat([specimen.new_images[:5], far_images()["constant"]])
    _same(
        specimen.fitted.score(beside)[:5],
        specimen.scores[:5],
        "an image's score depends on what else is in the batch: switch batch norm to its running statistics by "
        "network.eval(), and normalise with numbers from fit.",
    )


@check
def score_does_not_depend_on_batch_size(specimen: Specimen) -> None:
    """Images scored one by one get the scores that they get together."""
    alone = torch.cat([specimen.fitted.score(image.unsqueeze(0)) for image in specimen.new_images[:8]])
    _same(
        alone,
        specimen.scores[:8],
        "an image scored alone gets another score than in a batch: compute nothing over the batch in score; its "
        "axis must not be squeezed away.",
    )


@check
def score_does_not_depend_on_order(specimen: Specimen) -> None:
    """Images in another order get the same scores, in that order."""
    order = torch.arange(NEW).flip(0)
    _same(
        specimen.fitted.score(specimen.new_images[order]),
        specimen.scores[order],
        "images in another order get other scores: score must carry nothing over from one image to the next.",
    )


@check
def score_does_not_depend_on_memory_layout(specimen: Specimen) -> None:
    """Images that are stored in another layout get the same scores."""
    strided = specimen.new_images.transpose(2, 3).contiguous().transpose(2, 3)
    _same(
        specimen.fitted.score(strided),
        specimen.scores,
        "images that are not contiguous in memory get other scores: use reshape or flatten, not view or data_ptr.",
    )


@check
def scoring_learns_nothing(specimen: Specimen) -> None:
    """Scoring other images does not change later scores."""
    detector = specimen.fit(toy_images(FEW))
    before = detector.score(specimen.new_images)
    detector.score(far_images()["constant"])
    _same(
        detector.score(specimen.new_images),
        before,
        "scores change after other images were scored: update nothing in score (batch norm in training mode does).",
    )


@check
def scored_images_are_not_changed(specimen: Specimen) -> None:
    """``score`` does not write into its input."""
    images = toy_images(10, seed=1)
    before = images.clone()
    specimen.fitted.score(images)
    demand(torch.equal(images, before), "score changes the images that it is given: copy before working in place.")


def _same(scores: Tensor, expected: Tensor, sentence: str) -> None:
    demand(scores.shape == expected.shape and torch.allclose(scores, expected, RELATIVE, ABSOLUTE), sentence)
