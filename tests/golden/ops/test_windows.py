"""Token orders, masks and biases against timm's own, and their two forms against each other."""

import numpy as np
import pytest
import torch

from golden import ops
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.ops.softmax import RULE_CENTRED, RULE_HALF
from golden.ops.windows import PatchMerge, Windows

#: Grid, window, shift: divisible, padded in one way and both, smaller than the window, one window.
CASES = [
    ((8, 8), 4, 2),
    ((56, 56), 7, 3),
    ((7, 10), 4, 2),
    ((9, 9), 4, 2),
    ((5, 9), 7, 3),
    ((12, 5), 5, 2),
    ((3, 3), 4, 2),
    ((7, 7), 7, 3),
    ((1, 13), 3, 1),
    ((6, 11), 5, 0),
]


def block_of(grid, window, shift):
    ensure_torchvision()
    from timm.models.swin_transformer import SwinTransformerBlock

    return SwinTransformerBlock(
        dim=4, input_resolution=grid, num_heads=2, window_size=window, shift_size=shift
    )


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_order_mask_and_bias_are_timms(grid, window, shift):
    block = block_of(grid, window, shift)
    windows = Windows.fitted(grid, window, shift)
    assert (windows.window, windows.shift) == (block.window_size, block.shift_size)
    seen = {}

    def attention(x, mask=None):
        seen["x"], seen["mask"] = x, mask
        return 3 * x

    block.attn.forward = attention
    x = torch.arange(1, grid[0] * grid[1] * 4 + 1, dtype=torch.float32)
    back = block._attn(x.reshape(1, *grid, 4))
    raster = x.reshape(-1, 4).numpy()
    ordered = windows.compute(raster)
    assert np.array_equal(ordered, seen["x"].reshape(-1, 4).numpy())
    assert np.array_equal(windows.reverse(3 * ordered), back.reshape(-1, 4).numpy())
    assert (seen["mask"] is not None) == windows.masks
    masked = np.zeros_like(windows.masked()) if seen["mask"] is None else seen["mask"].numpy() < 0
    assert np.array_equal(windows.masked(), masked)
    table = block.attn.relative_position_bias_table.detach().numpy()
    bias = block.attn._get_rel_pos_bias()[0].detach().numpy()
    assert np.array_equal(windows.bias(table), bias)


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_index_and_runs_say_the_same(grid, window, shift):
    windows = Windows.fitted(grid, window, shift)
    x = np.arange(1, windows.tokens + 1)[:, None]
    want, order = windows.compute(x)[:, 0], windows.order()
    assert np.array_equal(np.where(order < 0, 0, x[:, 0][order]), want)
    assert np.array_equal(want[windows.places()], x[:, 0])
    made = np.full(windows.ordered, -7)
    for run in windows.runs():
        assert (made[run.target : run.target + run.count] == -7).all()
        first = 0 if run.source is None else run.source + 1
        step = 0 if run.source is None else 1
        made[run.target : run.target + run.count] = first + step * np.arange(run.count)
    assert np.array_equal(made, want)
    assert windows.masked().diagonal(axis1=1, axis2=2).sum() == 0  # a token sees itself


def test_at_most_four_kinds_of_windows():
    kinds = np.unique(Windows.fitted((56, 56), 7, 3).masked(), axis=0)
    assert len(kinds) == 4
    assert sorted(kinds.mean((1, 2)).round(4).tolist()) == [0, 0.4898, 0.4898, 0.7397]


@pytest.mark.parametrize("grid", [(8, 8), (7, 8), (8, 5), (7, 7), (1, 1), (1, 4)])
def test_merging_is_timms(grid):
    ensure_torchvision()
    from timm.models.swin_transformer import PatchMerging

    merging = PatchMerging(dim=3)
    merging.norm = merging.reduction = torch.nn.Identity()
    x = torch.arange(1, grid[0] * grid[1] * 3 + 1, dtype=torch.float32)
    want = merging(x.reshape(1, *grid, 3)).reshape(-1, 12).numpy()
    merge, raster = PatchMerge(grid=grid), x.reshape(-1, 3).numpy()
    assert np.array_equal(merge.compute(raster), want)
    order = merge.order()
    padded = np.concatenate([raster, np.zeros((1, 3), np.float32)])
    assert np.array_equal(padded[order].reshape(len(order), -1), want)
    assert len(want) == merge.merged[0] * merge.merged[1]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"grid": (0, 4), "window": (2, 2)}, "must be positive"),
        ({"grid": (4, 4), "window": (2, 2), "shift": (2, 0)}, "not inside the window"),
        ({"grid": (4, 4), "window": (2, 2), "shift": (0, -1)}, "not inside the window"),
        ({"grid": (4, 4, 4), "window": (2, 2)}, "no pair"),
        ({"grid": (4.0, 4), "window": (2, 2)}, "no pair"),
    ],
)
def test_impossible_windows_are_refused(fields, reason):
    with pytest.raises(ValueError, match=reason):
        Windows(**fields)
    with pytest.raises(ValueError, match="must be positive"):
        PatchMerge(grid=(0, 1))


def test_a_logit_is_rounded_once():
    """Half a bias and half a product make a whole; the masked value is nobody else's."""
    q, k = np.array([[3, 0], [-128, -128]]), np.array([[1, 0], [127, 127]])
    unit = ops.WindowScores(shift=3, bias_shift=0)
    bias = np.array([[1, 0], [0, 0]])
    got = unit.compute(q, k, bias, False)
    assert got.tolist() == [[1, 48], [-16, -128]]  # (3 + 1 + 4) >> 3; rounding apart gives 0 + 0
    masking = ops.WindowScores(shift=3, masks=True)
    got = masking.compute(q, k, bias, np.array([[False, True], [False, False]]))
    assert got.tolist() == [[1, -128], [-16, -127]]
    with pytest.raises(ValueError, match="bias shift -1 is negative"):
        ops.WindowScores(shift=3, bias_shift=-1)
    with pytest.raises(OverflowError, match="exceeds 32 bits"):
        ops.WindowScores(shift=3, bias_shift=25).compute(q, k, 127, False)


def test_a_bias_at_the_logits_exponent_may_be_added_behind_the_shift():
    rng = np.random.default_rng(0)
    q, k = rng.integers(-128, 128, (2, 40, 16))
    bias = rng.integers(-128, 128, (40, 40))
    for shift in range(8):
        got = ops.WindowScores(shift=shift, bias_shift=shift).compute(q, k, bias, False)
        late = ops.saturate(ops.rshr(q @ k.T, shift) + bias, 8)
        assert np.array_equal(got, late)


@pytest.mark.parametrize(
    ("fmt", "rule"), [(ops.AttnFormat.LOG2, RULE_CENTRED), (ops.AttnFormat.HALF, RULE_HALF)]
)
def test_masked_keys_weigh_nothing(fmt, rule):
    """Exactly as if they were not there, whatever the exponent; one key left takes all."""
    rng = np.random.default_rng(1)
    unit = ops.LogIntSoftmax(fmt=fmt, rule=rule)
    x = rng.integers(-127, 128, (50, 12))
    x[:, 3] = x[:, 7] = x[:, 11] = -128
    x[0] = -128
    x[0, 5] = -127  # masked but one
    seen = x[0] != -128, np.delete(np.arange(12), [3, 7, 11])
    for exponent in range(-5, 1):
        got = unit.compute(x, exponent, masked=True)
        assert np.array_equal(got[1:, seen[1]], unit.compute(x[1:, seen[1]], exponent))
        assert (got[:, [3, 7, 11]] == fmt.zero_code).all()
        assert got[0].tolist() == [fmt.zero_code] * 5 + [0] + [fmt.zero_code] * 6
    plain = unit.compute(np.full((1, 4), -128), -5)
    assert (plain != fmt.zero_code).all()  # without a mask -128 is a logit like others


@pytest.mark.parametrize("tokens", [1, 2, 16, 49, 100])
def test_pooling_is_attention_with_a_constant_code(tokens):
    rng = np.random.default_rng(tokens)
    x = rng.integers(-128, 128, (tokens, 24))
    x[:, 0], x[:, 1] = -128, 127
    shifter = ops.ShiftAttention()
    floor = tokens.bit_length() - 1
    for shift in range(max(floor - 1, 0), 15):
        got = ops.TokenPool(shift=shift).compute(x)
        codes = np.full((1, tokens), shift)
        assert np.array_equal(got, shifter.compute(codes, x, 0))
    if tokens > 16:
        with pytest.raises(OverflowError, match="exceeds 24 bits"):
            ops.TokenPool(shift=floor - 2).compute(x)
