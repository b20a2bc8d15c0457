"""Command-line arguments that choose a model, its pictures and its quantization."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from golden.catalogue.models import ModelSpec
from golden.commands.model_arguments import add_model_arguments, add_named
from golden.data.datasets import Dataset, default_dataset, open_dataset
from golden.data.noise import noise_pictures
from golden.data.pictures import Sample
from golden.models.load import LoadedModel
from golden.ops.softmax import ExpForm
from golden.quant import QuantOptions, bit_map
from golden.quant.learn.defaults import more_pictures
from golden.quant.learn.options import LearnOptions
from golden.quant.options import RULES
from golden.quant.search.observers import METHODS
from golden.support.errors import PotvitError

#: FQ-ViT's calibration batch and number of batches, where only one of the two is given.
CALIB_BATCH, CALIB_BATCHES = 100, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `eval` and `export` share."""
    add_model_arguments(parser)
    add_named(
        parser,
        "data",
        text="folder with labels.csv, with train/ and val/, or of pictures without labels "
        "(default: $POTVIT_DATA/photos)",
        default=None,
        position=True,
    )
    parser.add_argument(
        "--calib",
        type=positive,
        metavar="N",
        help="calibration pictures (all of labels.csv's, 200 of train/)",
    )
    parser.add_argument(
        "--calib-batchsize",
        type=positive,
        metavar="N",
        help=f"with --calib-iter, their product is --calib ({CALIB_BATCH})",
    )
    parser.add_argument(
        "--calib-iter", type=positive, metavar="N", help=f"calibration batches ({CALIB_BATCHES})"
    )
    parser.add_argument(
        "--mode",
        type=int,
        choices=(0, 1),
        default=0,
        help="calibrate on 0: pictures of DATA, 1: Gaussian noise",
    )
    parser.add_argument("--seed", type=natural, default=0, help="draw of the pictures (0)")
    parser.add_argument(
        "--quant-method", choices=METHODS, default=QuantOptions.method, help="observer"
    )
    parser.add_argument(
        "--bits",
        default="w8a8",
        metavar="w8a8|w4a8|w4a4|FILE",
        help="bits of each layer's weights and of what it reads",
    )
    parser.add_argument(
        "--attn", choices=("log2", "half"), help="4-bit (default) or 5-bit half-step codes"
    )
    parser.add_argument(
        "--exp", choices=[form.value for form in ExpForm], default="base2", help="exponential"
    )
    parser.add_argument(
        "--learn",
        type=natural,
        metavar="N",
        help="steps of learned rounding a block (none)",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="unlabelled pictures to learn from too (default: $POTVIT_DATA/train)",
    )
    parser.add_argument("--rule", choices=RULES, help="code thresholds (the format's own)")


def quant_options(args: argparse.Namespace, *, ptf: bool = True, lis: bool = True) -> QuantOptions:
    """The quantizer's options; without ``lis`` attention stays uniform, as in FQ-ViT.

    Raises:
        PotvitError: options that contradict each other, or a bad bit-width map.
    """
    if not lis:
        for flag in ("attn", "rule"):
            if getattr(args, flag) is not None:
                raise PotvitError(f"--{flag} says how --lis codes attention: add --lis or drop it")
    options = QuantOptions(
        method=args.quant_method,
        bits=bit_map(args.bits),
        attn=(args.attn or "log2") if lis else "none",
        exp=ExpForm(args.exp),
        ptf=ptf,
    )
    return replace(options, rule=args.rule or "auto") if lis else options


def learning(
    args: argparse.Namespace, options: QuantOptions, model: LoadedModel
) -> tuple[QuantOptions, Sequence[Sample]]:
    """The options with what ``--learn`` and ``--pictures`` say of ``model``, and more pictures.

    Raises:
        PotvitError: ``--pictures`` where nothing is learned, or without pictures.
    """
    if not args.learn:
        if args.pictures is not None:
            raise PotvitError("--pictures are for learned rounding: add --learn N or drop them")
        return options, []
    learn = LearnOptions(steps=args.learn, seed=args.seed)
    return replace(options, learn=learn), more_pictures(model, args.pictures, args.seed)


def dataset(args: argparse.Namespace, spec: ModelSpec) -> Dataset:
    """The pictures that the arguments name, or the model's default ones."""
    return default_dataset(spec) if args.data is None else open_dataset(args.data, spec)


def calibration(args: argparse.Namespace, data: Dataset, spec: ModelSpec) -> list[Sample]:
    """The calibration pictures that the arguments ask for.

    As in FQ-ViT, ``--calib-iter`` batches of ``--calib-batchsize`` drawn at random, whole ones
    only where there is one. Raises ``PotvitError`` where there is none, and for both this and
    ``--calib``.
    """
    count = args.calib
    if args.calib_batchsize is not None or args.calib_iter is not None:
        if count is not None:
            raise PotvitError("give --calib or --calib-batchsize and --calib-iter, not both")
        batch = args.calib_batchsize or CALIB_BATCH
        count = batch * (args.calib_iter or CALIB_BATCHES)
        if args.mode == 0 and batch <= len(data.calibration) < count:
            count = len(data.calibration) // batch * batch
    if args.mode == 1:
        return noise_pictures(count or CALIB_BATCH, spec.preprocess, args.seed)
    return data.calib(count, args.seed)


def positive(text: str) -> int:
    """Read a number of at least 1."""
    return _at_least(text, 1)


def natural(text: str) -> int:
    """Read a number of at least 0."""
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    if not text.lstrip("+-").isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return int(text)
