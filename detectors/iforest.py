"""iforest: isolation forest (Liu, Ting & Zhou, "Isolation forest", ICDM 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from oodbench.detectors.base import Monitor, register
from oodbench.detectors.components.principal_components import PrincipalComponents
from oodbench.detectors.components.types import NonNegativeInt, PositiveInt

QUERIES = 1000
"""Images that walk down the trees at a time."""
COMPONENTS_PER_RESIDUAL = 4
"""The residual is repeated for every four components: as one of 65 features, it is cut too rarely to isolate noise."""
IMAGES_PER_COMPONENT = 8
"""Fewest training images for each component: components that all but span them leave no residual to cut."""


@register("iforest")
class IForest(PrincipalComponents):
    """Isolation forest on principal components and the residual: how few random cuts set an image apart.

    Scores by ``2^(−E[h(x)] / c(n))`` with h the depth at which a tree isolates x (Liu et al. 2008, equation 2). A fifth
    of the cuts fall on the residual, what the components leave out, and the others on the components. How far a value
    lies beyond those of the training images makes no difference to a tree: trained on a few dozen images in colour, it
    hardly tells noise from new normal images. The trees are grown by scikit-learn; they are kept as arrays, so that a
    model can be saved without a pickle.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    n_components : int
        Number of principal components; at most one for every eight training images.
    seed : int
        Seeds the randomised decomposition and the random cuts.
    """

    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("noise_scores_higher_1x28x28", "noise_scores_higher_3x32x32"),
        "trained on 64 images, a forest does not see how far beyond them the residual of noise lies",
    )

    def __init__(
        self, *, n_estimators: PositiveInt = 200, n_components: PositiveInt = 64, seed: NonNegativeInt = 0
    ) -> None:
        super().__init__(n_components=n_components, seed=seed)
        self.n_estimators = n_estimators

    def fit(self, images: Tensor, *, monitor: Monitor | None = None) -> Self:
        """Grow the trees on images (N, C, H, W); see `Detector.fit`."""
        features = self._fit_features(images, min(self.n_components, len(images) // IMAGES_PER_COMPONENT)).numpy()
        residual = features.shape[1] - 1
        # a tree picks the column of a cut at random
        copies = max(1, residual // COMPONENTS_PER_RESIDUAL)
        columns = np.concatenate([np.arange(residual), np.full(copies, residual)])
        forest = IsolationForest(n_estimators=self.n_estimators, random_state=self.seed).fit(features[:, columns])
        grown = [tree.tree_ for tree in forest.estimators_]
        # a leaf leads back to itself, so that all images can walk equally long
        ids = [np.arange(tree.node_count) for tree in grown]
        leaves = [tree.children_left < 0 for tree in grown]
        self.left_ = _pad([np.where(leaf, i, t.children_left) for leaf, i, t in zip(leaves, ids, grown, strict=True)])
        self.right_ = _pad([np.where(leaf, i, t.children_right) for leaf, i, t in zip(leaves, ids, grown, strict=True)])
        self.feature_ = _pad([columns[np.maximum(tree.feature, 0)] for tree in grown])
        self.cut_ = _pad([tree.threshold for tree in grown])
        self.depth_ = _pad([tree.compute_node_depths() - 1 + unfinished(tree.n_node_samples) for tree in grown])
        self.levels_ = torch.tensor(max(tree.max_depth for tree in grown))
        self.expected_depth_ = torch.tensor(float(unfinished(np.array([forest.max_samples_]))[0]))
        return self

    def score(self, images: Tensor) -> Tensor:
        """Return how early images (N, C, H, W) are isolated, (N,); see `Detector.score`."""
        depths = torch.cat([self._depths(chunk) for chunk in self._features(images).split(QUERIES)])
        return torch.exp2(-depths / self.expected_depth_.clamp_min(1)).float()

    def _depths(self, points: Tensor) -> Tensor:
        """Return the mean depths (N,) at which points (N, K + 1) are isolated."""
        tree = torch.arange(len(self.left_))
        node = torch.zeros(len(points), len(tree), dtype=torch.int64)
        for _ in range(int(self.levels_)):
            goes_left = points.gather(1, self.feature_[tree, node]) <= self.cut_[tree, node]
            node = torch.where(goes_left, self.left_[tree, node], self.right_[tree, node])
        return self.depth_[tree, node].mean(1)


def unfinished(samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the expected further depth of a leaf that still holds several samples (Liu et al. 2008, equation 1).

    Parameters
    ----------
    samples : array
        int (L,), at least 1.

    Returns
    -------
    array
        float64 (L,).
    """
    n = np.maximum(samples, 2).astype(float)
    depth = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    return np.select([samples <= 1, samples == 2], [0.0, 1.0], depth)


def _pad(rows: list[NDArray[Any]]) -> Tensor:
    """Return arrays of different lengths as the rows of one tensor, filled up with zeros."""
    return pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
