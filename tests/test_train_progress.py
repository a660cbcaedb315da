"""The bar of long work."""

import io

from rich.console import Console

from train.progress import progress_bar


def test_the_bar_says_what_it_is_at_how_far_it_is_and_how_long_it_takes_still() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with progress_bar(console) as bar:
        task = bar.add_task("rebuilding", total=4)
        bar.advance(task, 3)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "rebuilding" in shown
    assert "3/4" in shown
    assert "left" in shown


def test_a_transient_bar_leaves_nothing_behind() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=120)
    with progress_bar(console, transient=True) as bar:
        bar.add_task("rebuilding", total=4)
    assert "rebuilding" not in console.file.getvalue()  # type: ignore[attr-defined]
