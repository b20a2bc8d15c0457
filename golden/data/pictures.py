"""Single pictures: named, decoded when asked for, batched as input pixels."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from golden.catalogue.preprocess import Preprocess
from golden.support.errors import PotvitError
from golden.support.progress import progress

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture, decoded when asked for.

    Attributes:
        name: file name relative to its data set; reports and bundles list it.
        label: class index, or -1 where there is none.
        open: gives the decoded picture.
    """

    name: str
    label: int
    open: Callable[[], Image.Image]

    def pixels(self, preprocess: Preprocess) -> NDArray[np.uint8]:
        """The model's input, uint8 [size, size, channels].

        Raises:
            PotvitError: the file is missing, no picture, truncated, or too elongated to resize.
        """
        image = self.open()
        try:
            return preprocess.pixels(image)
        except ValueError as error:
            raise PotvitError(f"picture {self.name}: {error}") from None


def image_sample(path: Path) -> Sample:
    """A single picture of the user's own, without a label."""
    return Sample(name=path.name, label=-1, open=partial(open_image, path))


def open_image(path: Path) -> Image.Image:
    """Decode a picture completely.

    Raises:
        PotvitError: missing, no picture, truncated, or absurdly large.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise PotvitError(f"picture {path} does not exist") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PotvitError(f"{path} is no readable picture ({reason})") from None


def sample_photos() -> list[Sample]:
    """The two photos that scikit-learn carries, without labels."""
    from sklearn.datasets import load_sample_images

    found = load_sample_images()
    return [
        Sample(name=Path(name).name, label=-1, open=partial(Image.fromarray, array))
        for name, array in zip(found.filenames, found.images, strict=True)
    ]


def batches(
    samples: Sequence[Sample],
    preprocess: Preprocess,
    batch: int,
    title: str = "",
    workers: int = 1,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Decode in order: pixels uint8 [n, H, W, C] and labels int64 [n], n <= `batch`.

    `workers` threads decode the pictures of a batch. A progress bar named `title` shows on a
    terminal; without a title there is none.
    """
    starts: Iterable[int] = range(0, len(samples), batch)
    with ThreadPoolExecutor(workers) as pool:
        for start in progress(starts, title):
            part = samples[start : start + batch]
            yield (
                np.stack(list(pool.map(lambda sample: sample.pixels(preprocess), part))),
                np.array([sample.label for sample in part], dtype=np.int64),
            )
