"""Exit codes and the one way in which a command ends with an error."""

import importlib
import os
import select
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command (numbers as in BSD sysexits.h where one fits)."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    FOREIGN_DATA = 65
    MISSING_INPUT = 66
    PORT_BUSY = 69
    UNEXPECTED = 70
    DEVICE_LOST = 74
    PERMISSION = 77
    BAD_CONFIG = 78


class Failure(Exception):
    """An end that the user can mend: the message names the thing, the value and the remedy on one line."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


def run_command(name: str, main: Callable[[], int]) -> int:
    """Run `main` and turn whatever it raises into one line on stderr and an exit code."""
    try:
        code = main()
        if sys.stdout:  # None where a process starts with it closed
            sys.stdout.flush()
        return code
    except Failure as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return Exit.OK
    except Exception as error:
        if isinstance(error, BrokenPipeError) and sys.stdout and _stdout_has_no_reader():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
            return Exit.OK
        traceback.print_exc()
        print(
            f"{name}: unexpected {type(error).__name__}: {error} (please report it with the lines above)",
            file=sys.stderr,
        )
        return Exit.UNEXPECTED


def _stdout_has_no_reader() -> bool:
    """Who read it has had enough, such as `head`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def run_extra(name: str, module: str, extra: str) -> int:
    """`run_command` for `module`.main, which needs what `pip install spmkd[extra]` brings."""

    def main() -> int:
        try:
            entry = importlib.import_module(module).main
        except ModuleNotFoundError as error:
            raise Failure(f"{error.name} is not installed: pip install 'spmkd[{extra}]'", Exit.BAD_CONFIG) from None
        return int(entry())

    return run_command(name, main)
