"""digits: the 8×8 handwritten digits that scikit-learn ships (Alpaydin & Kaynak 1998); nothing to download."""

from __future__ import annotations

from typing import Literal

from oodbench.datasets.base import Dataset, Part, register


@register("digits")
class Digits(Dataset):
    """8×8 handwritten digits, 1,797 images; they come with scikit-learn.

    There is no official split of these images: a fixed, stratified 30 % are the test part.
    """

    class_names = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    shape = (1, 8, 8)

    def load(self, part: Literal["train", "test"]) -> Part:
        """Return one part; see `Dataset.load`."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        indices = train_test_split(np.arange(len(digits.target)), test_size=0.3, stratify=digits.target, random_state=0)
        chosen = indices[part == "test"]
        images = torch.from_numpy(digits.images[chosen] * (255 / 16)).round().to(torch.uint8)
        return Part(images.unsqueeze(1), torch.from_numpy(digits.target[chosen]).long())
