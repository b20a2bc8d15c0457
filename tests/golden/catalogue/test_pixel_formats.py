"""Pictures that do not have 8 bits per channel: the same photo, or a refusal by name."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from golden.catalogue.models import MODELS
from golden.catalogue.pixel_formats import to_channels
from golden.data.pictures import file_sample, open_image, open_photo
from golden.support.errors import PotvitError

DEIT, DIGITS = MODELS["deit_tiny"].preprocess, MODELS["vit_digits"].preprocess
GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
PHOTO = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


GARBLED_EXIF = (
    b"", b"garbage!", b"MM\0*\xff\xff\xff\xff",
    b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\1",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]


def tiff(path, array, bits, photometric=1, sample_format=1, order="<"):
    """A TIFF of one strip, for kinds that Pillow does not write."""
    raw = array.tobytes()
    channels = bits if isinstance(bits, tuple) else (bits,)
    rows, columns = array.shape
    values = {256: columns, 257: rows, 259: 1, 262: photometric, 277: len(channels),
              278: rows, 279: len(raw), 339: sample_format}  # fmt: skip
    count = len(values) + 2
    extra = 8 + 2 + 12 * count + 4
    tags = [(tag, 4, 1, struct.pack(f"{order}I", value)) for tag, value in values.items()]
    packed = struct.pack(f"{order}{len(channels)}H", *channels)
    place = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", extra)
    tags += [(258, 3, len(channels), place), (273, 4, 1, struct.pack(f"{order}I", extra + 8))]
    body = b"".join(struct.pack(f"{order}HHI", *t[:3]) + t[3] for t in sorted(tags))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    head += struct.pack(f"{order}H", count) + body + bytes(4)
    path.write_bytes(head + packed.ljust(8, b"\0") + raw)
    return path


def written(path, image):
    image.save(path)
    return path


SIXTEEN = GREY.astype(np.uint16) * 257
FOURFOLD = (4 * GREY.astype(np.uint16)).astype(">u2")
TWELVE = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16 + 15


def packed12(values):
    """Two 12-bit values in three bytes, the high bits first."""
    a, b = values[:, ::2].astype(np.uint32), values[:, 1::2].astype(np.uint32)
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).reshape(16, 24)


def pgm(path, head, array):
    path.write_bytes(head + array.tobytes())
    return path


def twelve_bit(path):
    """The width that the tags give is of pixels, that of the array of bytes."""
    made = tiff(path, packed12(TWELVE), 12)
    raw = made.read_bytes()
    made.write_bytes(
        raw.replace(struct.pack("<HHII", 256, 4, 1, 24), struct.pack("<HHII", 256, 4, 1, 16))
    )
    return made


KINDS = {
    "png": lambda p: written(p / "x.png", Image.fromarray(SIXTEEN)),
    "tiff": lambda p: written(p / "x.tif", Image.fromarray(SIXTEEN)),
    "jpeg2000": lambda p: written(p / "x.jp2", Image.fromarray(SIXTEEN)),
    "pgm": lambda p: written(p / "x.pgm", Image.fromarray(SIXTEEN)),
    "big-endian tiff": lambda p: tiff(p / "x.tif", SIXTEEN.astype(">u2"), 16, order=">"),
    "white is zero": lambda p: tiff(p / "x.tif", 65535 - SIXTEEN, 16, photometric=0),
    "12-bit tiff": lambda p: twelve_bit(p / "x.tif"),
    "maxval 255": lambda p: pgm(p / "x.pgm", b"P5 16 16 255\n", GREY),
    "maxval 65535": lambda p: pgm(p / "x.pgm", b"P5 16 16 65535\n", SIXTEEN.astype(">u2")),
    "maxval 1020": lambda p: pgm(p / "x.pgm", b"P5 16 16 1020\n", FOURFOLD),
    "plain": lambda p: pgm(p / "x.pgm", b"P2 16 16 510 ", np.array(
        " ".join(str(2 * int(v)) for v in GREY.ravel()).encode())),
    "palette": lambda p: written(p / "x.gif", Image.fromarray(GREY)),
    "LA": lambda p: written(p / "x.png", Image.merge("LA", [Image.fromarray(GREY)] * 2)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_grey_of_any_depth_is_the_same_picture(tmp_path, kind):
    got = np.asarray(to_channels(open_image(KINDS[kind](tmp_path)), 1))
    if kind == "12-bit tiff":  # 15, 31, .. 4095 of 4095
        assert np.array_equal(got, np.rint(TWELVE * (255 / 4095)))
    else:
        assert np.array_equal(got, GREY)


def test_the_nearest_level_is_taken(tmp_path):
    values = np.arange(0, 65536, 7, dtype=np.uint16)[None]
    got = np.asarray(open_image(written(tmp_path / "x.png", Image.fromarray(values))))
    assert np.array_equal(got, np.rint(values / 257))
    pgm(tmp_path / "x.pgm", b"P5 1001 1 1000\n", np.arange(1001, dtype=">u2"))
    got = np.asarray(open_image(tmp_path / "x.pgm")).ravel()
    assert np.abs(got - np.arange(1001) * 0.255).max() <= 0.5 + 1e-9


def test_colour_of_16_bits_is_within_a_level(tmp_path):
    raw = (PHOTO.astype("<u2") * 257).reshape(16, 16 * 3)
    made = tiff(tmp_path / "x.tif", raw, (16, 16, 16), photometric=2)
    text = made.read_bytes()
    made.write_bytes(
        text.replace(struct.pack("<HHII", 256, 4, 1, 48), struct.pack("<HHII", 256, 4, 1, 16))
    )
    assert np.array_equal(np.asarray(open_image(made)), PHOTO)
    pgm(tmp_path / "x.ppm", b"P6 16 16 65535\n", PHOTO.astype(">u2") * 257)
    assert np.array_equal(np.asarray(open_image(tmp_path / "x.ppm")), PHOTO)


@pytest.mark.parametrize(
    ("mode", "tolerance"),
    [("RGB", 0), ("RGBA", 0), ("RGBX", 0), ("CMYK", 0), ("YCbCr", 2), ("HSV", 6), ("LAB", 8)],
)
def test_colour_modes_give_the_colours(mode, tolerance):
    photo = np.full((16, 16, 3), (200, 90, 40), np.uint8)
    image = Image.fromarray(photo)
    if mode == "LAB":
        from PIL import ImageCms

        profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        made = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    else:
        made = image.convert(mode)
    got = np.asarray(to_channels(made, 3)).astype(int)
    assert np.abs(got - photo).max() <= tolerance
    grey = np.asarray(to_channels(made, 1)).astype(int)
    assert np.abs(grey - np.asarray(image.convert("L")).astype(int)).max() <= tolerance


@pytest.mark.parametrize("mode", sorted(set(Image.MODES) - {"I", "F"}))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.filterwarnings("error")
def test_every_mode_of_pillow_is_converted(mode, channels):
    got = to_channels(Image.new(mode, (4, 4)), channels)
    assert got.mode == ("RGB" if channels == 3 else "L")


def test_transparency_is_dropped_without_a_warning(tmp_path, recwarn):
    image = Image.fromarray(PHOTO).quantize(16)
    wanted = np.asarray(image.convert("RGB"))
    image.save(tmp_path / "x.png", transparency=bytes(range(16)))
    assert np.array_equal(np.asarray(to_channels(open_image(tmp_path / "x.png"), 3)), wanted)
    assert not recwarn


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("float tiff", "floating-point pixels have no known full scale"),
        ("pfm", "floating-point pixels have no known full scale"),
        ("32-bit tiff", "pixels of 32 bits, or of 16 with a sign, have no known full scale"),
        ("signed tiff", "pixels of 32 bits, or of 16 with a sign, have no known full scale"),
        ("signed bytes", "pixels with a sign have no known full scale"),
        ("array I", "pixels of 32 bits"),
        ("array F", "floating-point"),
    ],
)
def test_values_without_a_full_scale_are_refused(tmp_path, kind, reason):
    path = tmp_path / "x.tif"
    if kind.startswith("array"):
        kinds = {"array I": np.int32, "array F": np.float32}
        with pytest.raises(ValueError, match=reason):
            DEIT.pixels(Image.fromarray(GREY.astype(kinds[kind])))
        return
    if kind == "float tiff":
        written(path, Image.fromarray(GREY.astype(np.float32) / 255))
    elif kind == "32-bit tiff":
        written(path, Image.fromarray(GREY.astype(np.int32)))
    elif kind == "signed tiff":
        tiff(path, GREY.astype("<i2"), 16, sample_format=2)
    elif kind == "signed bytes":
        tiff(path, (GREY.astype(np.int16) - 128).astype(np.int8), 8, sample_format=2)
    else:
        path = written(tmp_path / "x.pfm", Image.fromarray(GREY.astype(np.float32)))
    with pytest.raises(PotvitError, match=rf"{path.name} is no readable picture \({reason}"):
        file_sample(path, tmp_path).pixels(DIGITS)


def test_a_16_bit_digit_gives_the_pixels_of_the_8_bit_one(tmp_path):
    """The fault that was seen: a 7 clipped to white became a 4."""
    for array, name in ((GREY, "a.png"), (SIXTEEN, "b.png")):
        Image.fromarray(array).save(tmp_path / name)
    for preprocess in (DEIT, DIGITS):
        a, b = (file_sample(tmp_path / n, tmp_path).pixels(preprocess) for n in ("a.png", "b.png"))
        assert np.array_equal(a, b)
        assert a.std() > 50


def test_exif_turns_a_users_photo_and_no_other(tmp_path):
    upright = Image.fromarray(np.kron(PHOTO[:4, :6], np.ones((8, 8, 1), np.uint8)))
    path = tmp_path / "phone.png"
    for mark in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = mark
        stored = upright
        back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation to Transpose that undoes it
        if mark in back:
            stored = upright.transpose(Image.Transpose(back[mark]))
        stored.save(path, exif=exif)
        photo = open_photo(path)
        assert np.array_equal(np.asarray(photo.image), np.asarray(upright)), mark
        assert photo.notes == ((f"turned upright (EXIF orientation {mark})",) if mark > 1 else ())
        assert np.array_equal(np.asarray(open_image(path)), np.asarray(stored))
    assert photo.sample("x").pixels(DEIT).shape == (224, 224, 3)


@pytest.mark.parametrize("mark", range(1, 9))
def test_a_tiff_on_its_side_is_right_or_refused(tmp_path, mark):
    """Pillow reads rows of uncompressed ones as if they were columns."""
    stored = Image.fromarray(np.arange(128, dtype=np.uint8).reshape(4, 32))
    for compression in ("raw", "tiff_lzw"):
        path = tmp_path / f"{compression}.tif"
        stored.save(path, compression=compression, tiffinfo={0x0112: mark})
        if compression == "raw" and mark > 4:
            with pytest.raises(PotvitError, match="uncompressed TIFF with a rotation mark"):
                open_image(path)
            with pytest.raises(PotvitError, match="uncompressed TIFF with a rotation mark"):
                open_photo(path)
        else:
            values = np.asarray(open_photo(path).image)
            assert values.shape == ((32, 4) if mark > 4 else (4, 32))
            assert np.array_equal(np.sort(values.ravel()), np.arange(128))


def test_a_deep_png_with_an_old_exif_mark_is_turned(tmp_path):
    """ImageMagick's way: the mark in hexadecimal in a text of its own."""
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Raw profile type exif", f"\nexif\n{len(raw):8d}\n{raw.hex()}\n")
    Image.fromarray(SIXTEEN[:8]).save(tmp_path / "x.png", pnginfo=notes)
    assert open_photo(tmp_path / "x.png").image.size == (8, 16)


def test_what_was_done_to_a_photo_is_told(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(SIXTEEN[:8])
    deep.save(tmp_path / "x.png", exif=exif)
    photo = open_photo(tmp_path / "x.png")
    assert photo.notes == (
        "scaled to 8 bits per channel", "turned upright (EXIF orientation 6)"
    )  # fmt: skip
    assert photo.image.size == (8, 16)
    frames = [Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    photo = open_photo(tmp_path / "x.gif")
    assert photo.notes == ("the first of 2 pictures in the file",)
    assert np.abs(np.asarray(photo.image.convert("RGB")).astype(int) - PHOTO).mean() < 20
    Image.fromarray(PHOTO).convert("RGBA").save(tmp_path / "x.webp")
    assert open_photo(tmp_path / "x.webp").notes in ((), ("transparency dropped",))
    image = Image.new("RGBA", (8, 8), (1, 2, 3, 4))
    image.save(tmp_path / "y.png")
    assert open_photo(tmp_path / "y.png").notes == ("transparency dropped",)


def test_garbled_exif_is_ignored_without_a_word(tmp_path):
    """Pillow warns about it on standard error; a command's user has no use for that."""
    for number, raw in enumerate(GARBLED_EXIF):
        Image.fromarray(PHOTO).save(tmp_path / f"{number}.jpg", exif=b"Exif\0\0" + raw)
        assert open_photo(tmp_path / f"{number}.jpg").image.size == (16, 16)
    code = "import sys, pathlib, golden.data.pictures as p\n"
    code += "[p.open_photo(pathlib.Path(x)) for x in sys.argv[1:]]"
    done = subprocess.run(
        [sys.executable, "-c", code, *sorted(tmp_path.glob("*.jpg"))],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stderr == ""


def test_cut_and_garbled_files_are_one_line(tmp_path):
    """Every format, cut at many places and with bytes overwritten: a picture or a refusal."""
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    messages, read = [], 0
    for suffix in ("jpg", "png", "bmp", "gif", "ppm", "tif", "webp", "avif", "jp2"):
        whole = written(tmp_path / f"x.{suffix}", image).read_bytes()
        files = [whole[: len(whole) * part // 12] for part in range(12)]
        for _ in range(12):
            garbled = bytearray(whole)
            for at in rng.integers(0, min(len(whole), 400), 6):
                garbled[at] = rng.integers(256)
            files.append(bytes(garbled))
        for raw in files:
            path = tmp_path / f"y.{suffix}"
            path.write_bytes(raw)
            try:
                open_photo(path)
                file_sample(path, tmp_path).pixels(DEIT)
            except PotvitError as error:
                messages.append(str(error))
            else:
                read += 1
    assert len(messages) > 60
    assert not any("\n" in message for message in messages)
    assert read > 20
    assert TiffImagePlugin.READ_LIBTIFF is False
