"""From a picture to the uint8 pixels that the accelerator reads, and on to the float model."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from golden.catalogue.pixel_formats import to_channels

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}

#: Largest ratio of a picture's sides.
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How a model sees a picture; recorded in every bundle.

    The host resizes and crops (`pixels`); what follows is arithmetic on uint8 and is folded into
    the integer model's patch embedding (`normalize` is its float form).

    Attributes:
        size: side of the square model input, pixels.
        crop_pct: share of the resized picture's shorter side that the centre crop keeps.
        interpolation: resize filter, ``bicubic``, ``bilinear`` or ``nearest`` (Pillow's).
        mean, std: per channel, in units of full scale (pixel / 255).
    """

    size: int
    crop_pct: float
    interpolation: str = "bicubic"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what no picture can be processed with."""
        if self.interpolation not in _FILTERS:
            raise ValueError(f"interpolation {self.interpolation!r} is none of {list(_FILTERS)}")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError("mean and std need the same one or three channels")
        if self.size < 1 or not 0 < self.crop_pct <= 1:
            raise ValueError("size must be positive and crop_pct in (0, 1]")

    @property
    def channels(self) -> int:
        """Channels of the model input: 3 (RGB) or 1 (grey)."""
        return len(self.mean)

    @property
    def resize(self) -> int:
        """Length of the shorter side before the crop: floor(size / crop_pct)."""
        return math.floor(self.size / self.crop_pct)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize the shorter side, crop the centre; uint8 [size, size, channels] (HWC).

        The longer side is truncated to an integer, the crop offset rounds half to even: the
        pixels are those of torchvision's Resize and CenterCrop on a Pillow image. Raises
        ``ValueError`` for a picture so elongated that resizing it whole would fill the memory, and
        for pixels of no known full scale (see ``golden.catalogue.pixel_formats``).
        """
        image = to_channels(image, self.channels)
        width, height = image.size
        short = min(width, height)
        scaled = (int(self.resize * width / short), int(self.resize * height / short))
        if max(scaled) > _LONGEST * self.resize:
            raise ValueError(f"{width} x {height} pixels are too elongated: crop it first")
        if scaled != image.size:
            image = image.resize(scaled, _FILTERS[self.interpolation])
        left = round((scaled[0] - self.size) / 2)
        top = round((scaled[1] - self.size) / 2)
        image = image.crop((left, top, left + self.size, top + self.size))
        return np.array(image, dtype=np.uint8).reshape(self.size, self.size, self.channels)

    def normalize(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """(x / 255 - mean) / std of uint8 [N, H, W, C]; float32 [N, C, H, W]."""
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
        mean = torch.tensor(self.mean).view(1, -1, 1, 1)
        std = torch.tensor(self.std).view(1, -1, 1, 1)
        return (planes / 255 - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON manifest; `from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocess":
        """Read back what `to_dict` wrote.

        Raises:
            TypeError, ValueError: the values are not a Preprocess.
        """
        fields = dict(values)
        fields["mean"] = tuple(fields["mean"])
        fields["std"] = tuple(fields["std"])
        return cls(**fields)
