"""Single pictures: named, decoded when asked for, batched as input pixels."""

import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from golden.catalogue.pixel_formats import eight_bit
from golden.catalogue.preprocess import Preprocess
from golden.support.errors import PotvitError
from golden.support.progress import progress

#: What file names of pictures end in; Pillow tells the formats of `FORMATS` by their contents.
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".pbm", ".pgm",
    ".ppm", ".pnm", ".pfm", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".j2k",
}  # fmt: skip
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000")

#: What Pillow raises for files that are cut, garbled or of a kind it does not know.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip

# Pillow warns of odd metadata on standard error; what matters is refused, or told in `Photo.notes`.
warnings.filterwarnings("ignore", module=r"PIL\.")


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
            PotvitError: the file is missing, no picture, truncated, of pixels without a known full
                scale, or too elongated to resize.
        """
        image = self.open()
        try:
            return preprocess.pixels(image)
        except ValueError as error:
            raise PotvitError(f"picture {self.name}: {error}") from None


def file_sample(path: Path, folder: Path, label: int = -1) -> Sample:
    """The picture file ``path`` of the data set ``folder``, as it is stored (`open_image`)."""
    return Sample(name=str(path.relative_to(folder)), label=label, open=partial(open_image, path))


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A user's own picture, upright, and what was done to it in words (often nothing)."""

    image: Image.Image
    notes: tuple[str, ...]

    def sample(self, name: str) -> Sample:
        """The picture without a label."""
        return Sample(name=name, label=-1, open=lambda: self.image)


def open_photo(path: Path) -> Photo:
    """Decode ``path`` as a person sees it: turned as its EXIF mark says.

    Raises:
        PotvitError: as `open_image`.
    """
    image, stored = _decode(path)
    notes = []
    if stored.startswith("I"):
        notes.append("scaled to 8 bits per channel")
    if image.has_transparency_data:
        notes.append("transparency dropped")
    if (frames := _frames(path)) > 1:
        notes.append(f"the first of {frames} pictures in the file")
    try:
        mark = image.getexif().get(ExifTags.Base.Orientation, 1)
        image = ImageOps.exif_transpose(image)
    except _UNREADABLE:
        notes.append("its EXIF data cannot be read: taken as it is stored")
    else:
        if mark in range(2, 9):
            notes.append(f"turned upright (EXIF orientation {mark})")
    return Photo(image=image, notes=tuple(notes))


def _frames(path: Path) -> int:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return int(getattr(image, "n_frames", 1))
    except _UNREADABLE:
        return 1


def open_image(path: Path) -> Image.Image:
    """Decode a picture completely, as it is stored, at 8 bits per channel.

    A camera's EXIF rotation is not applied, as ImageNet tools leave it; of several pictures in a
    file the first counts.

    Raises:
        PotvitError: missing, no picture, truncated, absurdly large, or without a known full scale.
    """
    return _decode(path)[0]


def _decode(path: Path) -> tuple[Image.Image, str]:
    """The picture at 8 bits per channel and the Pillow mode in which it was stored."""
    if path.exists() and not path.is_file():  # a folder; or a pipe, which could keep us for ever
        raise PotvitError(f"{path} is no readable picture (no regular file)")
    try:
        with Image.open(path, formats=FORMATS) as image:
            _require_upright_rows(image)
            image.load()
            stored = image.mode
            return eight_bit(image), stored
    except FileNotFoundError:
        raise PotvitError(f"picture {path} does not exist") from None
    except _UNREADABLE as error:
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


def _require_upright_rows(image: Image.Image) -> None:
    """Pillow swaps the sides of an uncompressed TIFF that lies on its side before it reads rows."""
    mark = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1)
    if mark in range(5, 9) and any(tile[0] == "raw" for tile in getattr(image, "tile", ())):
        raise ValueError("an uncompressed TIFF with a rotation mark: save it upright or compressed")
