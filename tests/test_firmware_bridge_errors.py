"""How every command ends."""

import subprocess
import sys

import pytest

from firmware_bridge.errors import Exit, Failure, run_command

LINES = (
    "from firmware_bridge.errors import run_command\ndef main():\n    for i in range({count}): print(i)\n    return 0\n"
)
RUN = LINES + "raise SystemExit(run_command('counter', main))"


@pytest.mark.parametrize("count", [20, 200_000])
def test_a_reader_that_has_had_enough_is_no_error(count: int) -> None:
    """Whether the pipe breaks while lines are printed or when the last of them are flushed."""
    command = [sys.executable, "-c", RUN.format(count=count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as counter:
        assert counter.stdout
        assert counter.stderr
        if count > 20:
            assert counter.stdout.readline() == "0\n"
        counter.stdout.close()
        assert counter.stderr.read() == ""
    assert counter.returncode == Exit.OK


def test_a_failure_is_one_line_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise Failure("no mat: plug one in", Exit.MISSING_INPUT)

    assert run_command("edge-x", main) == Exit.MISSING_INPUT
    assert capsys.readouterr().err == "edge-x: no mat: plug one in\n"


def test_another_broken_pipe_is_one() -> None:
    """A socket's, say: a service must not end as if all were well."""
    fails = "from firmware_bridge.errors import run_command\ndef main(): raise BrokenPipeError(32, 'Broken pipe')\n"
    command = [sys.executable, "-c", fails + "raise SystemExit(run_command('edge-x', main))"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == Exit.UNEXPECTED
    assert "unexpected BrokenPipeError" in done.stderr


def test_what_nobody_expected_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise ZeroDivisionError("by zero")

    assert run_command("edge-x", main) == Exit.UNEXPECTED
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("edge-x: unexpected ZeroDivisionError: by zero (please report it with the lines above)\n")
