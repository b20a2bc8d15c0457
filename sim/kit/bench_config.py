"""Carries a configuration from a pytest process into its cocotb bench."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from golden.ops.softmax import ExpForm
from hw.config import Config

VARIABLE = "POTVIT_BENCH_CONFIG"
STALLS = "POTVIT_BENCH_STALLS"


def config_env(config: Config, *, stalls: str = "0.3") -> dict[str, str]:
    """Environment that hands ``config`` and the rate of random pauses to the bench."""
    return {STALLS: stalls, VARIABLE: packed(config)}


def packed(config: Config) -> str:
    """``config`` as JSON, for another process."""
    return json.dumps(asdict(config) | {"exp_form": config.exp_form.name})


def unpacked(text: str) -> Config:
    """What `packed` was given."""
    values = json.loads(text)
    return Config(**values | {"exp_form": ExpForm[values["exp_form"]]})


def bench_config() -> Config:
    """The configuration of the running bench."""
    return unpacked(os.environ[VARIABLE])


def bench_stalls() -> float:
    """Rate (0..1) of random pauses of this run."""
    return float(os.environ[STALLS])
