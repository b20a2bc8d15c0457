"""Row groups that ATTN must get right: corners, random rows, every rule and number of keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from golden.ops.softmax import RULE_CENTRED, RULE_FQ, RULE_HALF, AttnFormat, CodeRule
from hw.config import Config
from sim.benches.attention_model import Case, Ints

RULES = [
    (AttnFormat.LOG2, RULE_CENTRED),
    (AttnFormat.LOG2, RULE_FQ),
    (AttnFormat.HALF, RULE_HALF),
    (AttnFormat.LOG2, CodeRule(odd=511)),
    (AttnFormat.HALF, CodeRule(odd=257, even=480)),
]


def key_counts(config: Config) -> list[int]:
    """Key counts that the logit and value memories of ``config`` can hold."""
    longest = min(config.max_keys, config.value_words, config.logit_words * config.cols)
    wanted = {1, 2, config.cols - 1, config.cols, config.cols + 1, 17, 197, 256, longest}
    return sorted(k for k in wanted if 1 <= k <= longest)


def corner_logits(rng: np.random.Generator, rows: int, keys: int) -> Ints:
    """Rows in turn: all equal, one-hot maximum, all -128, full range, narrow, two-level, ramps."""
    hot = np.full(keys, -128)
    hot[int(rng.integers(keys))] = 127
    kinds = [
        np.full(keys, 5), hot, np.full(keys, -128), rng.integers(-128, 128, keys),
        rng.integers(-6, 7, keys), np.where(rng.random(keys) < 0.1, 90, 40),
        np.arange(keys) % 256 - 128, 127 - np.arange(keys) * int(rng.integers(2, 9)) % 256,
    ]  # fmt: skip
    first = int(rng.integers(len(kinds)))
    return np.stack([kinds[(first + r) % len(kinds)] for r in range(rows)]).astype(np.int64)


def random_case(rng: np.random.Generator, config: Config, keys: int, which: int) -> Case:
    """Corner or random rows under the rule ``which``, with values that reach both saturations."""
    fmt, rule = RULES[which % len(RULES)]
    rows = config.rows
    wide = rng.integers(2)
    logits = corner_logits(rng, rows, keys)
    if wide:
        centre = rng.integers(-60, 60, (rows, 1))
        logits = np.clip(np.rint(rng.normal(centre, rng.uniform(2, 40), (rows, keys))), -128, 127)
    d = int(rng.integers(1, config.head_lanes // config.act_bytes + 1)) * config.act_bytes
    values = rng.integers(-128, 128, (keys, d))
    if rng.integers(3) == 0:
        values[:, : d // 2], values[:, d // 2 :] = -128, 127
    return Case(
        logits=logits.astype(np.int64), values=values, frac=int(rng.integers(0, 6)), fmt=fmt,
        rule=rule, shift=int(rng.integers(-6, 9)), write_codes=bool(rng.integers(2)),
        narrow=int(rng.integers(4)) == 0,
    )  # fmt: skip


def masked_case(rng: np.random.Generator, config: Config, keys: int, which: int) -> Case:
    """Rows some of whose keys are masked (-128, others above it), in one row all but one."""
    case = random_case(rng, config, keys, which)
    logits = np.maximum(case.logits, -127)
    seen = rng.integers(0, keys, config.rows)
    hidden = rng.random(logits.shape) < 0.4
    hidden[0] = True
    hidden[np.arange(config.rows), seen] = False
    logits[hidden] = -128
    return replace(case, logits=logits, masked=True)
