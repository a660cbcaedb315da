"""Whether a model fits is arithmetic over a table with sources."""

from convert.boards import fits


def test_every_board_has_a_source_and_room_for_a_program() -> None:
    boards = fits(0, 0, 8, 8)
    assert len({board.name for board in boards}) == len(boards) >= 8
    for board in boards:
        assert board.source.startswith("https://")
        assert board.flash_bytes > board.ram_bytes > 0


def test_a_model_fits_where_file_and_arena_do() -> None:
    small, larger = ({b.name: b for b in fits(111_408, arena, 64, 32)} for arena in (73_376, 300_000))
    assert small["Raspberry Pi Pico"].fits
    assert small["Raspberry Pi Pico"].verdict == "fits"
    assert not larger["Raspberry Pi Pico"].fits
    assert larger["Raspberry Pi Pico 2"].fits
    assert larger["Raspberry Pi Pico 2"].ram_needed_bytes - small["Raspberry Pi Pico 2"].ram_needed_bytes == 226_624


def test_what_is_missing_is_said_in_bytes() -> None:
    (pill,) = (board for board in fits(111_408, 73_376, 64, 32) if board.name == "Blue Pill")
    flash = pill.flash_needed_bytes - pill.flash_bytes
    ram = pill.ram_needed_bytes - pill.ram_bytes
    assert pill.verdict == f"flash lacks {flash:,} bytes, RAM lacks {ram:,} bytes"


def test_a_larger_mat_needs_more_memory_for_its_frames() -> None:
    small, large = (fits(0, 0, *grid)[0].ram_needed_bytes for grid in ((64, 32), (128, 64)))
    assert large - small == 2 * 2 * (128 * 64 - 64 * 32)
