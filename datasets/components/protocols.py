"""Protocols: which images a trial trains and tests on.

Names and summaries can be read without torch; it is imported when a split is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from oodbench.datasets.base import Part
    from oodbench.datasets.components.split import Split


class Protocol(ABC):
    """A rule that makes one-vs-rest splits of a dataset.

    Attributes
    ----------
    name : str
        What users type.
    summary : str
        What it does, as sentences that begin with a small letter.
    tests_test_part_only : bool
        Whether no image of the training part is tested, so that models trained on that part may be used to measure.
    draws : bool
        Whether the split depends on the seed.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    tests_test_part_only: ClassVar[bool]
    draws: ClassVar[bool]

    @abstractmethod
    def split(self, train: Part, test: Part, normal_class: int, seed: int) -> Split:
        """Return the split for one normal class.

        Parameters
        ----------
        train, test : Part
            The dataset's two parts.
        normal_class : int
            Label of the normal class.
        seed : int
            Seeds the draw of images; without effect where `draws` is False.

        Returns
        -------
        Split

        Raises
        ------
        DatasetError
            There are too few images.
        """


class DeepSVDD(Protocol):
    """The protocol of Deep SVDD (Ruff et al., ICML 2018, §4.1), the default."""

    name = "deep-svdd"
    summary = (
        "a detector is trained on one class (90 % of its training images) and scores the dataset's whole test part, "
        "where the other classes are out of distribution."
    )
    tests_test_part_only = True
    draws = False

    def split(self, train: Part, test: Part, normal_class: int, seed: int) -> Split:
        """Return the split of `one_vs_rest`; see `Protocol.split`."""
        from oodbench.datasets.components.split import one_vs_rest

        return one_vs_rest(train, test, normal_class)


class MemAE(Protocol):
    """The protocol of MemAE (Gong et al., ICCV 2019, §4.1)."""

    name = "memae"
    summary = (
        "**protocol memae**, that of the MemAE paper (Gong et al., ICCV 2019, §4.1). The dataset's training and test "
        "part are pooled; a detector is trained on one class (90 % of two thirds of its images) and scores the "
        "remaining third together with images drawn from the other classes, which are out of distribution and make up "
        "30 % of the test images; every seed draws anew. The default protocol, deep-svdd, keeps to the dataset's own "
        "parts and tests the whole test part: its figures are not to be compared with these."
    )
    tests_test_part_only = False
    draws = True

    def split(self, train: Part, test: Part, normal_class: int, seed: int) -> Split:
        """Return the split of `memae_split`; see `Protocol.split`."""
        from oodbench.datasets.components.split import memae_split

        return memae_split(train, test, normal_class, seed)


DEFAULT_PROTOCOL = DeepSVDD.name
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (DeepSVDD(), MemAE())}
"""By name."""
