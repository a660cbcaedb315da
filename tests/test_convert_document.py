"""One report, three forms: what one shows the others say too."""

import re
from io import StringIO

import pytest
from rich.console import Console

from convert.document import Picture, Section, Table, Text, markdown, page, print_sections

TABLE = Table("a | table <b>", ("name", "cm", "why"), [["x|y", "1.5", "<i>"], ["[red]z", "2.5", "w"]], left=(0, 2))
SECTIONS = [
    Section("First & only", [Text("FAILED", "bad"), Text("said <plainly> [bold]"), TABLE]),
    Section("Pictures", [Picture("what it <shows>", b"\x89PNG bytes")]),
]


def printed(*sections: Section) -> str:
    file = StringIO()
    print_sections("A title", sections, Console(file=file, width=80, soft_wrap=True))
    return file.getvalue()


def test_the_terminal_has_everything_but_pictures_word_for_word() -> None:
    text = printed(*SECTIONS)
    for piece in ("A title", "First & only", "FAILED", "said <plainly> [bold]", "a | table <b>", "[red]z", "2.5"):
        assert piece in text
    assert "Pictures" not in text


def test_the_terminal_cuts_long_and_wide_tables_and_says_so() -> None:
    rows = [[str(i), f"number {i}", "far too wide"] for i in range(9)]
    text = printed(Section("s", [Table("t", ("i", "n", "w"), rows, terminal_rows=4, terminal_columns=(0, 1))]))
    assert "number 3" in text
    assert "number 4" not in text
    assert "too wide" not in text
    assert "and 5 more" in text


def test_markdown_is_a_document_with_tables() -> None:
    text = markdown("A title", SECTIONS)
    assert text.startswith("# A title\n\n## First & only\n\n**FAILED**\n\nsaid <plainly> [bold]\n\na | table <b>\n")
    assert "| name | cm | why |\n|---|---:|---|\n| x\\|y | 1.5 | <i> |\n| [red]z | 2.5 | w |\n" in text
    assert "Pictures" not in text


def test_the_page_shows_texts_as_they_are_and_holds_its_pictures() -> None:
    text = page("A <title>", SECTIONS)
    assert "<title>A &lt;title&gt;</title>" in text
    assert "said &lt;plainly&gt;" in text
    assert '<td class="n">1.5</td><td>&lt;i&gt;</td>' in text
    assert 'src="data:image/png;base64,iVBORyBieXRlcw=="' in text
    assert 'alt="what it &lt;shows&gt;"' in text


def test_the_page_asks_the_network_for_nothing() -> None:
    linked = page("A title", [Section("s", [Table("t", ("",), [["https://example.org/a/b"]])])])
    assert '<a href="https://example.org/a/b" rel="noreferrer">example.org</a>' in linked
    assert set(re.findall(r'(?:src|srcset|data|action)="(?!data:)', linked)) == set()
    assert re.findall(r"@import|url\(|<script|<iframe", linked) == []
    assert re.findall(r'<link [^>]*href="([^"]*)"', linked) == ["data:,"]


@pytest.mark.parametrize("tone", ["plain", "good", "bad", "note"])
def test_every_tone_has_a_style(tone: str) -> None:
    text = page("t", [Section("s", [Text("x", tone)])])
    assert f'<p class="{tone}">x</p>' in text
    assert tone == "plain" or f"p.{tone} {{" in text
