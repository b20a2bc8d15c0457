"""Write the README's tables from what they describe.

Run from the repository's root: ``python -m tools.readme_tables`` rewrites the blocks between
``<!-- table: NAME -->`` and ``<!-- end -->``; with ``--check`` it only says which differ (status
1). A new table is a function in `TABLES`.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from golden.support.errors import PotvitError
from golden.support.requirements import CAPABILITIES, REQUIREMENTS
from tools.recorded_tables import RECORDED, markdown

_BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def targets() -> str:
    """The Makefile's documented targets and the variables that each takes."""
    text = Path("Makefile").read_text(encoding="utf-8")
    takes = dict(re.findall(r"^takes-([a-z-]+)\s*:= (.*)$", text, re.MULTILINE))
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", text, re.MULTILINE)
    cells = [
        [f"`make {name}`", _cell(summary), ", ".join(takes.get(name, "").split())]
        for name, summary in found
    ]
    return markdown(["target", "what it does", "variables"], cells)


def variables() -> str:
    """What each of the Makefile's variables says."""
    text = Path("Makefile").read_text(encoding="utf-8")
    found = re.findall(r"^option-(\w+)\s*:=.*?## *(.*)$", text, re.MULTILINE)
    return markdown(
        ["variable", "what it says (default)"],
        [[f"`{name}=`", _cell(meaning)] for name, meaning in found],
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def models() -> str:
    """The models and how each sees a picture."""
    from golden.catalogue.models import MODELS

    def values(numbers: Sequence[float]) -> str:
        return ", ".join(f"{number:g}" for number in numbers)

    return markdown(
        ["model", "timm name", "resize, crop", "mean", "standard deviation", "classes"],
        [
            [
                f"`{spec.name}`",
                f"`{spec.timm_name}`" if spec.timm_name else "the project's own",
                f"{spec.preprocess.resize}, {spec.preprocess.size}",
                values(spec.preprocess.mean),
                values(spec.preprocess.std),
                str(spec.num_classes),
            ]
            for spec in MODELS.values()
        ],
    )


def digits() -> str:
    """Split and measured accuracy of the bundled vit_digits."""
    from golden.data.digits import digits_split
    from golden.models.load import DIGITS_WEIGHTS, load_model
    from golden.training.digits import accuracy

    train, test = digits_split()
    return markdown(
        ["training pictures", "test pictures", "float top-1", "weights file"],
        [
            [
                str(len(train)),
                str(len(test)),
                f"{accuracy(load_model('vit_digits').module):.2f} %",
                f"{DIGITS_WEIGHTS.stat().st_size:,} bytes",
            ]
        ],
    )


def requirements() -> str:
    """What the system supplies, and for what."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in REQUIREMENTS:
        # Without the release of the Python that happens to write this table.
        package = re.sub(r"python3\.\d+", "python3.N", row.package)
        names = rows.setdefault((row.capability, package), [])
        names.append(row.name)
    return markdown(
        ["needed for", "targets", "what", "Debian package"],
        [
            [
                capability if CAPABILITIES[capability].required else f"{capability} (optional)",
                CAPABILITIES[capability].targets,
                ", ".join(names),
                f"`{package}`",
            ]
            for (capability, package), names in rows.items()
        ],
    )


TABLES: dict[str, Callable[[], str]] = {
    "requirements": requirements,
    "targets": targets,
    "variables": variables,
    "models": models,
    "digits": digits,
    **RECORDED,
}


def rewritten(text: str) -> str:
    """`text` with every table block made anew.

    Raises:
        PotvitError: a block names a table that nobody makes, or a table's source is missing.
    """
    for match in _BLOCK.finditer(text):
        if match["name"] not in TABLES:
            raise PotvitError(
                f"README.md wants a table {match['name']!r}; there are {', '.join(TABLES)}"
            )
    return _BLOCK.sub(lambda m: m[1] + TABLES[m["name"]]() + m[3], text)


def main() -> int:
    """Rewrite or check README.md."""
    parser = argparse.ArgumentParser(description="Write README.md's tables from their sources.")
    parser.add_argument("--check", action="store_true", help="only say whether they differ")
    args = parser.parse_args()
    readme = Path("README.md")
    old = readme.read_text(encoding="utf-8")
    try:
        new = rewritten(old)
    except PotvitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"error: a record in docs/data has no {error}: run `make record`", file=sys.stderr)
        return 2
    if args.check and new != old:
        print("README.md's tables differ from their sources: run `make readme`", file=sys.stderr)
        return 1
    if new != old:
        partial = readme.with_name(".README.md.partial")
        partial.write_text(new, encoding="utf-8")
        os.replace(partial, readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
