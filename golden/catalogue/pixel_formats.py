"""Eight bits per channel from whatever a picture file holds, or a refusal that names the format.

Pillow's own conversion clips 16-bit grey to white and 32-bit values to garbage without a word. Here
integers of a known full scale are scaled, ``round(255 * value / full scale)``, and values without
one (32-bit integers, those with a sign, floats) are refused: nobody knows which of them is white.

Colour of 16 bits per channel arrives from Pillow as its high byte, at most one level below.
"""

import numpy as np
from PIL import Image

#: Formats whose 16-bit values use the full range (Pillow spreads a PGM's maxval over it).
_FULL_RANGE = {None, "PNG", "PPM", "TIFF", "JPEG2000"}
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_WHITE_IS_ZERO = 0
#: Where Pillow keeps what says how a picture is turned.
_MARKS = ("exif", "xmp", "Raw profile type exif")
_SIGNED = 2
_NO_SCALE = "have no known full scale: save it with 8 or 16 bits per channel"


def eight_bit(image: Image.Image) -> Image.Image:
    """``image`` itself where its channels have at most 8 bits, else a scaled grey picture.

    Raises:
        ValueError: its values have no known full scale; the message names the format.
    """
    if image.mode == "F":
        raise ValueError(f"floating-point pixels {_NO_SCALE}")
    if image.mode == "I" and image.format != "PPM":
        raise ValueError(f"pixels of 32 bits, or of 16 with a sign, {_NO_SCALE}")
    tags = getattr(image, "tag_v2", {})
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise ValueError(f"pixels with a sign {_NO_SCALE}")
    if not image.mode.startswith("I"):
        return image
    if image.format not in _FULL_RANGE:
        raise ValueError(f"16-bit pixels of {image.format} files {_NO_SCALE}")
    full = (1 << int(tags.get(_BITS, (16,))[0])) - 1
    values = np.asarray(image).astype(np.int64)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = full - values
    scaled = Image.fromarray(((255 * values + full // 2) // full).clip(0, 255).astype(np.uint8))
    scaled.info = {key: image.info[key] for key in _MARKS if key in image.info}
    return scaled


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """RGB (3 channels) or grey (1) of 8 bits; transparency is dropped, as ImageNet tools do it.

    Raises:
        ValueError: the format cannot be converted; the message names it.
    """
    image = eight_bit(image)
    if image.mode in ("La", "RGBa"):  # stored multiplied by its transparency
        image = image.convert(f"{image.mode[:-1]}A")
    if image.mode == "LAB":
        image = image.convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]
    return image.convert("RGB" if channels == 3 else "L")
