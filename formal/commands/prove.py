"""``python -m formal prove``: decide every proof and write the table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from formal.kit.proof import Proof
from formal.kit.table import Row, run_all, summary
from formal.proofs import every_proof
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.report_file import require_writable, write_json

REPORT = BUILD / "formal" / "summary.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--unit", metavar="UNIT", help="only the proofs of one unit")
    parser.add_argument("--out", type=Path, default=REPORT, metavar="FILE", help="report")


def chosen(unit: str | None) -> list[Proof]:
    """The proofs of ``unit``, or all; ``PotvitError`` names the units if there is no such."""
    proofs = every_proof()
    units = sorted({proof.unit for proof in proofs})
    if unit and unit not in units:
        raise PotvitError(f"no proof of unit {unit!r}; one of {', '.join(units)}")
    return [proof for proof in proofs if unit in (None, "", proof.unit)]


def run(args: argparse.Namespace) -> int:
    """Decide, print a line each, write the report; status 1 if one failed."""
    proofs = chosen(args.unit)
    require_writable(args.out)
    rows = run_all(proofs, _tell)
    report = summary(rows)
    write_json(args.out, report)
    args.report = report
    print(
        f"{report['proofs']} proofs, {report['failed']} failed, "
        f"{report['mutants_rejected']} mutants rejected: {args.out}"
    )
    if report["failed"]:
        print(f"error: {report['failed']} of {len(rows)} proofs failed", file=sys.stderr)
    return int(report["failed"] > 0)


def _tell(row: Row) -> None:
    depth = f"{row.depth} cycles" if row.depth else "all times"
    print(
        f"{row.unit} {row.variant or row.proof}: {row.engine}, {depth}, {row.promises} promises, "
        f"{row.covers} covers, {row.mutants} mutants rejected, {row.seconds} s"
        + (f"\n  FAILED: {row.failure}" if row.failure else ""),
        flush=True,
    )
