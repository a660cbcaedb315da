"""A report as sections of text, tables and pictures, and the three forms that it is read in."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

STYLE: Final = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class Text:
    """One paragraph. `tone`: plain, good, bad or note."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Table:
    """The first column names the rows; all others are set right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    """Columns of words."""
    terminal_rows: int | None = None
    """So many on the terminal; None: all."""
    terminal_columns: Sequence[int] | None = None
    """These on the terminal; None: all."""


@dataclass(frozen=True)
class Picture:
    """A PNG, for the page alone."""

    title: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """A heading and what follows it."""

    title: str
    blocks: Sequence[Text | Table | Picture]


COLOURS: Final = {"good": "green", "bad": "red", "note": "yellow"}


def print_sections(title: str, sections: Sequence[Section], console: Console) -> None:
    """On a terminal: no pictures, long tables cut."""
    console.print(f"[bold]{escape(title)}[/bold]")
    for section in sections:
        if all(isinstance(block, Picture) for block in section.blocks):
            continue
        console.print(f"\n[bold]{escape(section.title)}[/bold]")
        for block in section.blocks:
            match block:
                case Text(text, tone):
                    colour = COLOURS.get(tone)
                    console.print(f"[{colour}]{escape(text)}[/{colour}]" if colour else escape(text))
                case Table():
                    console.print(_rich(block))
                    if block.terminal_rows is not None and len(block.rows) > block.terminal_rows:
                        console.print(f"and {len(block.rows) - block.terminal_rows} more")
                case Picture():
                    pass


def _rich(table: Table) -> RichTable:
    shown = RichTable(title=escape(table.title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = range(len(table.columns)) if table.terminal_columns is None else table.terminal_columns
    for i in columns:
        shown.add_column(escape(table.columns[i]), justify="left" if i in table.left else "right", overflow="fold")
    for row in table.rows[: table.terminal_rows]:
        shown.add_row(*(escape(row[i]) for i in columns))
    return shown


def markdown(title: str, sections: Sequence[Section]) -> str:
    """For a repository's docs: everything but the pictures."""
    lines = [f"# {title}", ""]
    for section in sections:
        if all(isinstance(block, Picture) for block in section.blocks):
            continue
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            match block:
                case Text(text, tone):
                    lines += [f"**{text}**" if tone in ("good", "bad") else text, ""]
                case Table():
                    lines += [block.title, "", _line(block.columns)]
                    lines.append(
                        "|" + "".join("---|" if i in block.left else "---:|" for i in range(len(block.columns)))
                    )
                    lines += [*(_line(row) for row in block.rows), ""]
                case Picture():
                    pass
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page(title: str, sections: Sequence[Section]) -> str:
    """One HTML file that asks the network for nothing: style and pictures are in it."""
    contents = "".join(f'<a href="#s{i}">{html.escape(section.title)}</a>' for i, section in enumerate(sections))
    body = "".join(_html_section(i, section) for i, section in enumerate(sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title>\n'
        f"<style>\n{STYLE.read_text()}</style></head>\n"
        f"<body><header><h1>{html.escape(title)}</h1><nav>{contents}</nav></header>\n<main>\n{body}</main></body></html>\n"
    )


def _html_section(i: int, section: Section) -> str:
    return (
        f'<section id="s{i}"><h2>{html.escape(section.title)}</h2>\n{"".join(map(_html, section.blocks))}</section>\n'
    )


def _html(block: Text | Table | Picture) -> str:
    match block:
        case Text(text, tone):
            return f'<p class="{tone}">{html.escape(text)}</p>\n'
        case Table():
            kinds = ["" if i in block.left else ' class="n"' for i in range(len(block.columns))]
            head = "".join(f"<th{k}>{html.escape(c)}</th>" for k, c in zip(kinds, block.columns, strict=True))
            rows = "".join(
                "<tr>" + "".join(f"<td{k}>{_cell(c)}</td>" for k, c in zip(kinds, row, strict=True)) + "</tr>\n"
                for row in block.rows
            )
            return (
                f'<div class="wide"><h3>{html.escape(block.title)}</h3><table>'
                f"<thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
            )
        case Picture(title, png):
            data = base64.b64encode(png).decode()
            return (
                f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(title)}">'
                f"<figcaption>{html.escape(title)}</figcaption></figure>\n"
            )


def _cell(text: str) -> str:
    if text.startswith("https://"):
        return f'<a href="{html.escape(text)}" rel="noreferrer">{html.escape(text.split("/")[2])}</a>'
    return html.escape(text)
