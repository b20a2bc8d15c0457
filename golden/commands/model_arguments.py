"""Command-line arguments that choose a model and say what its name does not."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path
from typing import Any

from golden.models.request import FEATURES, ModelRequest
from golden.support.errors import PotvitError

INTERPOLATIONS = ("bicubic", "bilinear", "nearest")
DEFAULT = "deit_tiny"
HELP = "deit_tiny, swin_tiny, ..., timm:NAME, or a checkpoint file that names its architecture"


class _Once(argparse.Action):
    """Stores what is said by position or by option, and refuses it said twice."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store ``values``; a second one ends the command."""
        said = namespace.__dict__.setdefault("said", {})
        if self.dest in said:
            parser.error(f"{self.dest} is given twice, {said[self.dest]!r} and {values!r}")
        said[self.dest] = values
        setattr(namespace, self.dest, values)


def add_named(
    parser: argparse.ArgumentParser, name: str, *, text: str, default: str | None, position: bool
) -> None:
    """Add ``--name``, and where ``position`` the same as a positional argument."""
    word: dict[str, Any] = {"metavar": name.upper(), "action": _Once}
    if position:
        parser.add_argument(name, nargs="?", default=argparse.SUPPRESS, help=text, **word)
    parser.add_argument(f"--{name}", default=default, help="the same" if position else text, **word)


def add_model_arguments(
    parser: argparse.ArgumentParser, *, position: bool = True, default: str | None = DEFAULT
) -> None:
    """Add the model itself (``--model``, and as an argument with ``position``) and the rest."""
    add_named(parser, "model", text=HELP, default=default, position=position)
    group = parser.add_argument_group("model", "what a model's name does not say; named as in timm")
    group.add_argument(
        "--weights", type=Path, metavar="FILE",
        help=".safetensors, .pth, .pt, .bin, .ckpt, .pth.tar, an index of shards, or a folder",
    )  # fmt: skip
    group.add_argument(
        "--classes", type=Path, metavar="FILE", help="text file with one class name a line"
    )
    group.add_argument(
        "--img-size", type=int, metavar="N", help="side of the picture (as in the weights file)"
    )
    group.add_argument("--crop-pct", type=float, metavar="P", help="share kept by the centre crop")
    group.add_argument("--interpolation", choices=INTERPOLATIONS, help="resize filter")
    group.add_argument("--mean", type=float, nargs="+", metavar="M", help="mean of each channel")
    group.add_argument(
        "--std", type=float, nargs="+", metavar="S", help="deviation of each channel"
    )
    group.add_argument(
        "--features", choices=FEATURES,
        help="no classifier: the final LayerNorm of all tokens or of the class token",
    )  # fmt: skip
    group.add_argument(
        "--model-kwargs", nargs="+", default=[], metavar="NAME=VALUE",
        help="more arguments of timm.create_model, such as depth=6",
    )  # fmt: skip


def model_request(args: argparse.Namespace) -> ModelRequest:
    """What the arguments ask for; ``PotvitError`` for an argument of no meaning."""
    arguments = {}
    words = (part for text in args.model_kwargs for part in re.split(r"\s+(?=\w+=)", text.strip()))
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise PotvitError(f"--model-kwargs {word}: write it as NAME=VALUE")
        try:
            arguments[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            arguments[name] = text
    if args.img_size is not None and args.img_size < 1:
        raise PotvitError(f"--img-size must be at least 1, not {args.img_size}")
    return ModelRequest(
        model=args.model,
        weights=args.weights,
        classes=args.classes,
        img_size=args.img_size,
        crop_pct=args.crop_pct,
        interpolation=args.interpolation,
        mean=None if args.mean is None else tuple(args.mean),
        std=None if args.std is None else tuple(args.std),
        features=args.features,
        arguments=arguments,
    )
