"""``python -m golden study``: every option of the quantizer against accuracy, as a document.

Each row is quantized on the calibration pictures and evaluated on `dev`; for the choice of
defaults it is also quantized on either half of the calibration pictures and scored on the other
(agreement with fp32, SQNR of the logits). Rows are kept as JSON in ``build/study`` by options,
weights and pictures, and not repeated; the document is written from whatever rows there are. Rows
that other sources of the quantizer made are named, not repeated: that would take hours after every
change, and ``--fresh`` does it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from golden.catalogue.models import MODELS
from golden.evaluation.study import Study, matrix_row, sources, stored_matrix
from golden.evaluation.study_rows import ROWS, SUBSET_SECTIONS, select
from golden.evaluation.study_table import document
from golden.support.notes import note
from golden.support.progress import progress
from golden.support.report_file import require_writable, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("rows", nargs="*", metavar="ROW", help="parts of row names (all)")
    parser.add_argument("--model", default="deit_tiny", help="model of the table (deit_tiny)")
    parser.add_argument("--data", metavar="DATA", help="data set (default: $POTVIT_DATA/photos)")
    parser.add_argument("--calib", type=int, metavar="N", help="calibration pictures (all)")
    parser.add_argument("--limit", type=int, metavar="N", help="evaluation pictures (all)")
    parser.add_argument("--matrix", action="store_true", help="also every observer on every model")
    parser.add_argument(
        "--subsets", type=int, default=0, metavar="N",
        help="also the first rows on N random halves of the calibration pictures (0)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the row names and stop")
    parser.add_argument("--fresh", action="store_true", help="repeat rows that are there")
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy.md"), metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Run the missing rows, then write the document."""
    if args.list:
        args.report = {"rows": [row.slug for row in ROWS]}
        print("\n".join(args.report["rows"]))
        return 0
    chosen = select(args.rows)
    require_writable(args.out)
    study = Study(args.model, args.data, args.calib, args.limit, fresh=args.fresh)
    for row in progress([row for row in chosen if study.applies(row)], "study"):
        study.row(row)
    for row in progress([r for r in chosen if r.section in SUBSET_SECTIONS], "subsets"):
        for seed in range(args.subsets):
            study.subset(row, seed)
    if args.matrix:
        for name in MODELS:
            matrix_row(name, fresh=args.fresh)
    rows = [(row, found) for row in ROWS if (found := study.stored(row)) is not None]
    matrix = {name: found for name in MODELS if (found := stored_matrix(name)) is not None}
    subsets = [(row, study.subsets(row)) for row in ROWS]
    write_text(args.out, document(study.facts(), rows, matrix, subsets))
    now = sources()
    old = [row.slug for row, found in rows if found.get("sources") != now]
    old += [f"matrix {name}" for name, found in matrix.items() if found.get("sources") != now]
    if old:
        note(
            f"{len(old)} of them were made by other sources of the quantizer ({old[0]}, ...): "
            "--fresh makes the rows of this call again"
        )
    args.report = {
        "document": str(args.out), **study.facts(), "other_sources": old,
        "rows": {row.slug: found for row, found in rows}, "matrix": matrix,
        "subsets": {row.slug: found for row, found in subsets if found},
    }  # fmt: skip
    print(f"{len(rows)} of {len(ROWS)} rows in {args.out}")
    return 0
