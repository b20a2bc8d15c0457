"""``python -m golden train-digits``: train the embedded model and write its weights."""

import argparse
import os
from pathlib import Path

from golden.models.load import DIGITS_WEIGHTS
from golden.support.errors import PotvitError
from golden.training.digits import EPOCHS, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m golden train-digits``."""
    parser.add_argument("--out", type=Path, default=DIGITS_WEIGHTS, help="weights file to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the pictures")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and distortions")


def run(args: argparse.Namespace) -> int:
    """Train, write the weights, print the accuracy."""
    from safetensors.torch import save

    if args.epochs < 1:
        raise PotvitError(f"--epochs must be at least 1, not {args.epochs}")
    if args.out.is_dir():
        raise PotvitError(f"{args.out} is a folder: --out names a file")
    if not args.out.parent.is_dir() or not os.access(args.out.parent, os.W_OK):
        raise PotvitError(f"{args.out.parent} is no folder that may be written to")
    state, percent = train(args.epochs, args.seed)
    partial = args.out.with_name(args.out.name + ".partial")
    try:
        partial.write_bytes(save(state))
        os.replace(partial, args.out)
    except OSError as error:
        raise PotvitError(f"{args.out} cannot be written ({error.strerror})") from None
    finally:
        partial.unlink(missing_ok=True)
    print(f"vit_digits: {percent:.2f} % on the test pictures, weights in {args.out}")
    return 0
