"""Command-line arguments that choose a configuration: a preset, a file of one's own, changes.

``--config`` names a preset or a TOML file; ``--set`` changes single parameters of either. Whatever
the source, the result is a `Config` and passes its checks.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from golden.support.errors import PotvitError
from hw.config import OLD_PRECISION, PRESETS, Config, present_names, preset

T = TypeVar("T")

#: Keys of a file that are no parameters.
PRESET, NAME = "preset", "name"
_FILE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,79}")


def add_config_arguments(parser: argparse.ArgumentParser, default: str | None = "base") -> None:
    """``--config`` and ``--set``, for every command that works for one configuration."""
    parser.add_argument(
        "--config",
        default=default,
        metavar="CONFIG",
        help=f"{', '.join(PRESETS)}, or a TOML file: preset = NAME and changes, or all parameters",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PARAMETER=VALUE",
        help="change a parameter of the configuration, or several with blanks between; may be "
        "repeated",
    )


def chosen_config(args: argparse.Namespace, default: str = "base") -> Config:
    """The configuration of ``--config`` (``default`` where it is None) and ``--set``.

    A changed preset is named after its changes, so that its reports stand beside the preset's.

    Raises:
        PotvitError: no such preset or file, unknown parameters, values of another type, or a
            combination that `Config` refuses.
    """
    config = named_config(default if args.config is None else args.config)
    changes: dict[str, Any] = {}
    for word in (part for text in args.set for part in re.split(r"[\s,]+(?=\w+=)", text.strip())):
        name, equals, text = word.partition("=")
        if not equals:
            raise PotvitError(f"--set {word}: write it as PARAMETER=VALUE")
        if name == OLD_PRECISION:
            changes[name] = _switch(word, text)
            continue
        if name == NAME or name not in _parameters():
            raise PotvitError(f"--set {word}: no such parameter; `python -m hw verilog` writes "
                              "those of a configuration to potvit.json")  # fmt: skip
        changes[name] = _parse(word, getattr(config, name), text)
    changes = present_names(changes)
    different = sorted((n, v) for n, v in changes.items() if v != getattr(config, n))
    if different:
        changes[NAME] = config.name + "".join(f"-{n}{_text(v)}" for n, v in different)
    return config.change(**changes)


def named_config(text: str) -> Config:
    """A preset by its name, or the configuration of a TOML file.

    Raises:
        PotvitError: as `chosen_config`.
    """
    if text in PRESETS:
        return preset(text)
    path = Path(text)
    if path.suffix.lower() != ".toml" and not path.exists():
        raise PotvitError(
            f"unknown configuration {text!r}; one of {', '.join(PRESETS)}, or a TOML file"
        )
    return read_config(path)


def read_config(path: Path) -> Config:
    """The configuration that a TOML file describes.

    With ``preset`` the other keys change that preset; without it every parameter that has no
    default must be there. ``name`` defaults to the file's stem.

    Raises:
        PotvitError: as `chosen_config`; every message names the file.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors put a mark in front
    except FileNotFoundError:
        raise PotvitError(f"configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PotvitError(f"configuration file {path} is no readable TOML ({error})") from None
    where = f"configuration file {path}"
    base = _base(read.pop(PRESET, None), where)
    name = read.pop(NAME, path.stem)
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise PotvitError(
            f"{where}: name {name!r} must start with a letter and have letters, digits and _.+- "
            "only: it names files"
        )
    read = _checked(lambda: present_names(read), where)
    values = {key: _typed(key, value, where) for key, value in read.items()}
    if base is None:
        required = [f.name for f in fields(Config) if f.default is MISSING and f.name != NAME]
        missing = [key for key in required if key not in values]
        if missing:
            raise PotvitError(
                f"{where} lacks {', '.join(missing)}: give all, or preset = one of "
                f"{', '.join(PRESETS)} and what differs"
            )
        found = _checked(lambda: Config(name=name, **values), where)
    else:
        found = _checked(lambda: base.change(name=name, **values), where)
    if name in PRESETS and found != PRESETS[name]:
        raise PotvitError(f"{where}: {name!r} is a preset that differs: choose another name")
    return found


def _base(named: object, where: str) -> Config | None:
    """The preset that a file starts from."""
    if named is None:
        return None
    if not isinstance(named, str) or named not in PRESETS:
        raise PotvitError(f"{where}: preset {named!r} is none of {', '.join(PRESETS)}")
    return PRESETS[named]


def _checked(make: Callable[[], T], where: str) -> T:
    try:
        return make()
    except PotvitError as error:
        raise PotvitError(f"{where}: {error}") from None


def _parameters() -> Mapping[str, Any]:
    """Every parameter and a value of its type."""
    return {f.name: getattr(PRESETS["base"], f.name) for f in fields(Config)}


def _typed(key: str, value: Any, where: str) -> Any:
    """A TOML value as the parameter ``key`` wants it."""
    known = _parameters()
    if key not in known:
        raise PotvitError(
            f"{where}: unknown parameter {key!r}; one of {', '.join(sorted(known.keys() - {NAME}))}"
        )
    like = known[key]
    if isinstance(like, Enum):
        choices = {str(e.value): e for e in type(like)}
        if value not in choices:
            raise PotvitError(f"{where}: {key} is one of {', '.join(choices)}, not {value!r}")
        return choices[value]
    if type(value) is not type(like):
        raise PotvitError(f"{where}: {key} is a whole number, not {value!r}")
    return value


def _switch(word: str, text: str) -> bool:
    """``text`` as on or off."""
    found = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
    if found is None:
        raise PotvitError(f"--set {word}: the value is true or false")
    return found


def _parse(word: str, old: Any, text: str) -> Any:
    """``text`` as a value of the type of ``old``."""
    if isinstance(old, Enum):
        choices = {str(e.value): e for e in type(old)}
        if text.lower() not in choices:
            raise PotvitError(f"--set {word}: the value is one of {', '.join(choices)}")
        return choices[text.lower()]
    try:
        return int(text, 0)
    except ValueError:
        raise PotvitError(f"--set {word}: the value is a whole number") from None


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value).lower()
