"""Byte formats against bytes written out by hand, and against what hardware keeps."""

import numpy as np
import pytest

from hw.formats.channel import CHANNEL
from hw.formats.layouts import record_layout
from hw.formats.norm import NORM_CHANNEL


def test_a_channel_by_hand():
    raw = CHANNEL.pack(2, bias=[1, -2], shift=[-32, 31], la=3, lo=[0, 31], alpha=[3, 1])
    assert raw.tolist() == [
        [1, 0, 0, 0, 224, 3, 0, 3],
        [254, 255, 255, 255, 31, 3, 31, 1],
    ]
    assert CHANNEL.unpack(raw)["shift"].tolist() == [-32, 31]


def test_a_norm_channel_by_hand():
    raw = NORM_CHANNEL.pack(1, gamma=-1, alpha=3, beta=-8)
    assert raw.tolist() == [[255, 255, 3, 0, 248, 255, 255, 255]]


@pytest.mark.parametrize("record", [CHANNEL, NORM_CHANNEL])
def test_every_number_survives_and_the_hardware_sees_it(record):
    rng = np.random.default_rng(0)
    for name, number in record.numbers.items():
        values = np.unique(rng.integers(number.range.start, number.range.stop, 50))
        values = np.concatenate([values, [number.range.start, number.range.stop - 1]])
        raw = record.pack(len(values), **{name: values})
        got = record.unpack(raw)
        assert np.array_equal(got.pop(name), values)
        assert not any(other.any() for other in got.values())
        layout = record_layout(record)
        for value, line in zip(values, raw, strict=True):
            assert layout.from_bits(int.from_bytes(line.tobytes(), "little"))[name] == value


@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [
        ("shift", 32, "-32..31"),
        ("shift", -33, "-32..31"),
        ("la", 32, "0..31"),
        ("alpha", 4, "0..3"),
    ],
)
def test_a_number_that_does_not_fit_is_named(name, value, legal):
    with pytest.raises(ValueError, match=f"{name} outside {legal}"):
        CHANNEL.pack(3, **{name: [0, value, 0]})


def test_bits_that_hardware_drops_are_dropped():
    raw = np.full((1, 8), 255, np.uint8)
    assert {k: int(v[0]) for k, v in CHANNEL.unpack(raw).items()} == {
        "bias": -1, "shift": -1, "la": 31, "lo": 31, "alpha": 3,
    }  # fmt: skip
