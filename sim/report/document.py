"""What a report is made of, written as one HTML page and as Markdown from the same parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from golden.support.report_file import write_text
from sim.report.theme import themed

TEMPLATE = "page.html.j2"


def percent(share: float, digits: int = 2) -> str:
    """A fraction as a percentage."""
    return f"{100 * share:.{digits}f} %"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing: ``name`` for its file, ``svg`` text, ``alt`` what it shows."""

    name: str
    svg: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under a header; the columns after the first are right aligned if numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.header)]
        assert not wrong, f"{wrong[0]} does not fit {self.header}"

    def numeric(self, column: int) -> bool:
        """Whether the column holds numbers only."""
        cells = [row[column] for row in self.rows if row[column] not in ("", "-")]
        return column > 0 and all(re.fullmatch(r"[+-]?[\d,.]+( [%\w/]+)?", cell) for cell in cells)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with paragraphs, figures and tables; ``notes`` say what is missing.

    ``headline`` has the few figures, by name, that a reader should see first.
    """

    title: str
    headline: Sequence[tuple[str, str]] = ()
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = field(default=())


def html(title: str, sections: Sequence[Section]) -> str:
    """One self-contained page: figures inline, no script, nothing fetched."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["themed"] = themed
    return environment.get_template(TEMPLATE).render(title=title, sections=sections)


def markdown(title: str, sections: Sequence[Section], figures: str) -> str:
    """The same as Markdown; figures are files ``<figures>-<name>.svg`` beside it."""
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        if section.headline:
            lines += [", ".join(f"{name}: **{value}**" for name, value in section.headline), ""]
        for paragraph in section.text:
            lines += [paragraph, ""]
        for note in section.notes:
            lines += [f"> {note}", ""]
        for figure in section.figures:
            lines += [f"![{figure.alt}]({figures}-{figure.name}.svg)", ""]
        for table in section.tables:
            if table.caption:
                lines += [f"**{table.caption}**", ""]
            rule = ["--:" if table.numeric(i) else ":--" for i in range(len(table.header))]
            for cells in (table.header, rule, *table.rows):
                lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
            lines.append("")
    return "\n".join(lines)


def write(folder: Path, stem: str, title: str, sections: Sequence[Section]) -> list[Path]:
    """Write ``<stem>.html``, ``<stem>.md`` and its figures, each whole or not at all.

    Returns their paths in this order, the figures last.

    Raises:
        PotvitError: they cannot be written; older ones stay as they were.
    """
    texts = {f"{stem}.html": html(title, sections), f"{stem}.md": markdown(title, sections, stem)}
    texts |= {f"{stem}-{f.name}.svg": f.svg for s in sections for f in s.figures}
    for name, text in reversed(texts.items()):  # a page never points to figures that are not there
        write_text(folder / name, text)
    return [folder / name for name in texts]
