"""Windowed networks without RTL: programs against the reference executor, every tensor."""

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.ops.softmax import RULE_FQ, AttnFormat, ExpForm
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_image
from golden.synthetic.swin import random_swin_graph
from hw.compiler import compile_graph
from hw.config import preset
from hw.interpreter import run_program, run_random_order

SMALL = {"grid": (8, 8), "window": 4, "channels": 16, "head_depth": 8}


def check(config, seeds=(0,), blocks=None, **options):
    graph = random_swin_graph(**(SMALL | options))
    image = random_image(graph, 5)
    expected = run_reference(graph, image)
    program = compile_graph(graph, config, checkpoints=True, blocks=blocks)
    assert [c.name for c in program.checkpoints] == [t.name for t in graph.stored()]
    plain = compile_graph(graph, config, blocks=blocks)
    runs = [(program, run_program(program, config, image))]
    runs += [(plain, run_program(plain, config, image))]
    runs += [
        (p, run_random_order(p, config, image, seed)) for p in (program, plain) for seed in seeds
    ]
    for made, dram in runs:
        for name in ["logits", *(c.name for c in made.checkpoints)]:
            got, want = made.unpack(name, dram), expected[name]
            assert got.dtype == want.dtype
            assert got.size > 0
            assert np.array_equal(got, want), name
    return program


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("tiny", 8),
        ("base", 4),
        *(
            pytest.param(name, bits, marks=pytest.mark.slow)
            for name, bits in (("tiny", 4), ("edge", 8), ("edge", 4), ("base", 8))
        ),
    ],
)
def test_presets(name, bits):
    check(preset(name), bits=bits)


RAGGED = [
    # Padded at the bottom and the right, windows that fill no row group, odd sides merged.
    ("base", {"grid": (7, 10), "window": 3, "channels": 24}),
    # Channels that fill no word, padding of less than a window's row.
    ("edge", {"grid": (5, 9), "channels": 12, "head_depth": 12, "bits": 4}),
    # No block in the first stage.
    ("tiny", {"grid": (6, 6), "window": 3, "depths": (0, 2)}),
]
MORE = [
    ("tiny", {"grid": (7, 10), "window": 3, "channels": 24}),
    ("edge", {"grid": (7, 10), "window": 3, "channels": 24}),
    ("tiny", {"grid": (5, 9), "channels": 12, "head_depth": 12, "fmt": AttnFormat.HALF}),
    # Heads wider than the shifters, three stages.
    ("tiny", {"grid": (9, 9), "window": 3, "channels": 32, "head_depth": 32, "depths": (1, 2, 1)}),
    # One window; FQ-ViT's rule.
    ("tiny", {"grid": (3, 4), "rule": RULE_FQ}),
]


@pytest.mark.parametrize(
    ("name", "options"),
    [*RAGGED, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
)
def test_ragged_shapes(name, options):
    check(preset(name), **options)


@pytest.mark.slow
def test_the_other_exponential():
    check(preset("tiny").change(exp_form=ExpForm.IEXP), form=ExpForm.IEXP)


@pytest.mark.parametrize("most", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_bands_of_fewer_windows(most):
    assert check(preset("tiny"), blocks=most).blocks == most


@pytest.mark.parametrize(
    ("words", "options"),
    [
        # One place in RESIDUAL, tokens padded on both sides.
        (400, {"grid": (13, 12), "window": 7, "channels": 32, "depths": (2, 1)}),
        # Two places, hidden layer wide enough for a longer band to pay.
        pytest.param(
            4864, {"grid": (14, 28), "window": 7, "channels": 96, "head_depth": 32, "ratio": 4},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_windows_attended_one_by_one(words, options):
    program = check(preset("base").change(residual_words=words), **options)
    assert "attended one by one" in program.reasons[0]


def test_two_pictures():
    graph, config = random_swin_graph(**SMALL), preset("tiny")
    pictures = np.stack([random_image(graph, seed) for seed in (1, 2)])
    program = compile_graph(graph, config, pictures=2)
    dram = run_program(program, config, pictures)
    for picture, result in zip(pictures, program.results, strict=True):
        assert np.array_equal(result.unpack(dram), run_reference(graph, picture)["logits"])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"act_words": 60}, r"buffer ACT .* lacks \d+ bytes"),
        ({"residual_words": 32}, r"buffer RESIDUAL .* lacks \d+ bytes"),
        ({"norm_words": 8}, r"buffer NORM .* lacks \d+ bytes"),
        ({"logit_words": 2}, r"buffer LOGIT .* lacks \d+ bytes"),
        ({"max_keys": 15}, "windows of 16 tokens, .* stops at 15"),
        ({"max_channels": 32}, "64 channels, .* stops at 32"),
        ({"max_tokens": 15}, r"buffer STATISTICS .* lacks \d+ bytes"),
    ],
)
def test_configuration_too_small(changes, match):
    with pytest.raises(PotvitError, match=match) as caught:
        compile_graph(random_swin_graph(**SMALL), preset("tiny").change(**changes))
    assert "\n" not in str(caught.value)
