"""Gaussian noise as calibration pictures: for networks whose training pictures cannot be had."""

from __future__ import annotations

from functools import partial

import numpy as np
from PIL import Image

from golden.catalogue.preprocess import Preprocess
from golden.data.pictures import Sample


def noise_pictures(count: int, preprocess: Preprocess, seed: int = 0) -> list[Sample]:
    """Return ``count`` unlabelled pictures that are standard normal once normalized.

    Up to rounding and clipping to uint8 (P2-ViT's calibration without data). They are as large
    as a resized picture, so that only the centre crop touches them.
    """
    return [
        Sample(name=f"noise/{seed}/{i:04d}", label=-1, open=partial(_open, preprocess, (seed, i)))
        for i in range(count)
    ]


def _open(preprocess: Preprocess, seed: tuple[int, int]) -> Image.Image:
    side = preprocess.resize
    noise = np.random.default_rng(seed).standard_normal((side, side, preprocess.channels))
    values = 255 * (noise * np.array(preprocess.std) + np.array(preprocess.mean))
    pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels if preprocess.channels == 3 else pixels[..., 0])
