"""``python -m golden train-digits``: train an embedded model and write its weights."""

import argparse
from pathlib import Path

from golden.models.load import bundled_weights
from golden.support.errors import PotvitError
from golden.support.report_file import require_writable
from golden.support.whole_file import write_whole
from golden.training.digits import EPOCHS, NAMES, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m golden train-digits``."""
    parser.add_argument("--model", choices=NAMES, default=NAMES[0], help=f"({NAMES[0]})")
    parser.add_argument("--out", type=Path, help="weights file to write (the package's own)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the pictures")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and distortions")


def run(args: argparse.Namespace) -> int:
    """Train, write the weights, print the accuracy."""
    from safetensors.torch import save

    if args.epochs < 1:
        raise PotvitError(f"--epochs must be at least 1, not {args.epochs}")
    out = args.out or bundled_weights(args.model)
    require_writable(out, "weights file")
    state, percent = train(args.epochs, args.seed, args.model)
    try:
        write_whole(out, save(state))
    except OSError as error:
        raise PotvitError(f"{out} cannot be written ({error.strerror})") from None
    args.report = {"model": args.model, "weights": str(out), "seed": args.seed,
                   "epochs": args.epochs, "top1": percent}  # fmt: skip
    print(f"{args.model}: {percent:.2f} % on the test pictures, weights in {out}")
    return 0
