"""Command-line arguments that choose a configuration."""

import argparse
from dataclasses import fields
from enum import Enum
from typing import Any

from golden.support.errors import PotvitError
from hw.config import PRESETS, Config, preset


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--set``, for every command that works for one configuration."""
    parser.add_argument("--config", default="base", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PARAMETER=VALUE",
        help="change a parameter of the configuration; may be repeated",
    )


def chosen_config(args: argparse.Namespace) -> Config:
    """The configuration of ``--config`` and ``--set``; ``PotvitError`` if there is no such."""
    config = preset(args.config)
    changes: dict[str, Any] = {}
    for word in args.set:
        name, equals, text = word.partition("=")
        if not equals:
            raise PotvitError(f"--set {word}: write it as PARAMETER=VALUE")
        if name == "name" or name not in {f.name for f in fields(config)}:
            raise PotvitError(f"--set {word}: no such parameter; `python -m hw verilog` writes "
                              "those of a configuration to potvit.json")  # fmt: skip
        changes[name] = _parse(word, getattr(config, name), text)
    if changes:
        suffix = "".join(f"-{n}{_text(v)}" for n, v in sorted(changes.items()))
        changes["name"] = config.name + suffix
    return config.change(**changes)


def _parse(word: str, old: Any, text: str) -> Any:
    """``text`` as a value of the type of ``old``."""
    choices: dict[str, Any] | None = None
    if isinstance(old, bool):
        choices = {"true": True, "1": True, "false": False, "0": False}
    elif isinstance(old, Enum):
        choices = {str(e.value): e for e in type(old)}
    if choices is not None:
        if text.lower() not in choices:
            raise PotvitError(f"--set {word}: the value is one of {', '.join(choices)}")
        return choices[text.lower()]
    try:
        return int(text, 0)
    except ValueError:
        raise PotvitError(f"--set {word}: the value is a whole number") from None


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value).lower()
