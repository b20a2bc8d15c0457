"""scikit-learn's 1797 handwritten digits as pictures.

8 x 8 pixels of 0..16. Every fourth picture of each class, in the set's order, is for testing (445);
the others train (1352). A picture becomes the model's 64 x 64 by repeating each pixel 8 times each
way, its value times 15.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from golden.data.pictures import Sample

REPEAT = 8


GAIN = 15  # 16 * 15 = 240: the brightest pixel fits uint8


def digits_arrays() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Images uint8 [1797, 8, 8] of 0..16, labels [1797], and which of them are for testing."""
    from sklearn.datasets import load_digits

    found = load_digits()
    labels = found.target.astype(np.int64)
    testing = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        testing[np.flatnonzero(labels == digit)[3::4]] = True
    return found.images.astype(np.uint8), labels, testing


def digits_split() -> tuple[list[Sample], list[Sample]]:
    """Training and test pictures as data-set samples."""
    images, labels, testing = digits_arrays()
    split: tuple[list[Sample], list[Sample]] = ([], [])
    for i, label in enumerate(labels):
        split[int(testing[i])].append(
            Sample(
                name=f"digits/{i:04d}",
                label=int(label),
                open=partial(_open, images[i]),
            )
        )
    return split


def enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """8 x 8 of 0..16 to 64 x 64 of 0..240."""
    return np.kron(image * np.uint8(GAIN), np.ones((REPEAT, REPEAT), dtype=np.uint8))


def _open(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(enlarge(image))
