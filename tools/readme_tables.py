"""Write the tables of the README and of the pages in docs from what they describe.

Run from the repository's root: ``python -m tools.readme_tables`` rewrites the blocks between
``<!-- table: NAME -->`` and ``<!-- end -->`` in every page of `PAGES`; with ``--check`` it only
says which pages differ (status 1). A new table is a function in `TABLES`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from golden.support.errors import PotvitError
from golden.support.report_file import write_text
from golden.support.requirements import CAPABILITIES, REQUIREMENTS
from tools.recorded_tables import RECORDED
from tools.records import markdown
from tools.testplan import plan, stages

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
    """Split and measured accuracy of the embedded models."""
    from golden.data.digits import digits_split
    from golden.models.load import bundled_weights, load_model
    from golden.training.digits import NAMES, accuracy

    train, test = digits_split()
    return markdown(
        ["model", "training pictures", "test pictures", "float top-1", "weights file"],
        [
            [
                f"`{name}`",
                str(len(train)),
                str(len(test)),
                f"{accuracy(load_model(name).module):.2f} %",
                f"{bundled_weights(name).stat().st_size:,} bytes",
            ]
            for name in NAMES
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


#: Pages with such blocks; one that does not exist has none.
PAGES = tuple(
    Path(name)
    for name in (
        "README.md", "docs/commands.md", "docs/models.md", "docs/results.md", "docs/testplan.md"
    )
)  # fmt: skip

TABLES: dict[str, Callable[[], str]] = {
    "requirements": requirements,
    "targets": targets,
    "variables": variables,
    "models": models,
    "digits": digits,
    "stages": stages,
    "testplan": plan,
    **RECORDED,
}


def rewritten(text: str, page: Path = PAGES[0]) -> str:
    """`text` of `page` with every table block made anew.

    Raises:
        PotvitError: a block names a table that nobody makes, or a table's source is missing.
    """
    for match in _BLOCK.finditer(text):
        if match["name"] not in TABLES:
            raise PotvitError(
                f"{page} wants a table {match['name']!r}; there are {', '.join(TABLES)}"
            )
    return _BLOCK.sub(lambda m: m[1] + TABLES[m["name"]]() + m[3], text)


def main() -> int:
    """Rewrite or check the pages; none is written unless all can be."""
    parser = argparse.ArgumentParser(description="Write the pages' tables from their sources.")
    parser.add_argument("--check", action="store_true", help="only say whether they differ")
    args = parser.parse_args()
    changed = {}
    try:
        for page in filter(Path.exists, PAGES):
            old = page.read_text(encoding="utf-8")
            if (new := rewritten(old, page)) != old:
                changed[page] = new
    except PotvitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"error: a record in docs/data has no {error}: run `make record`", file=sys.stderr)
        return 2
    if args.check:
        for page in changed:
            print(f"{page}: its tables differ from their sources: run `make readme`",
                  file=sys.stderr)  # fmt: skip
        return int(bool(changed))
    for page, new in changed.items():
        write_text(page, new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
