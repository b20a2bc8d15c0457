"""Carries a configuration from a pytest process into its cocotb bench."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from golden.ops.softmax import ExpForm
from hw.config import Config

VARIABLE = "POTVIT_BENCH_CONFIG"


def config_env(config: Config) -> dict[str, str]:
    """Environment that hands ``config`` to the bench."""
    return {VARIABLE: json.dumps(asdict(config) | {"exp_form": config.exp_form.name})}


def bench_config() -> Config:
    """The configuration of the running bench."""
    values = json.loads(os.environ[VARIABLE])
    return Config(**values | {"exp_form": ExpForm[values["exp_form"]]})
