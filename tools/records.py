"""Records in docs/data, and tables in Markdown."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def recorded(name: str) -> dict[str, Any]:
    """A data file that `tools.record_results` keeps.

    Raises:
        PotvitError: it is missing or broken.
    """
    path = Path(f"docs/data/{name}.json")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PotvitError(f"{path} is missing: `make record` makes it") from None
    except ValueError:
        raise PotvitError(f"{path} is no JSON file: remove it and run `make record`") from None
    return found
