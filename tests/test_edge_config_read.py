"""Command line over environment over file over defaults, and the words for what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from edge.config.file import ConfigFile, read_file
from edge.config.read import Given, Problem, examine, read
from edge.config.settings import DaemonConfig
from firmware_bridge.errors import Exit, Failure

MAT = "[[mat]]\nport = 'sim:'\n"
REMEDY = "this edge-run reads 1: update edge-run, or write the file anew"
TWO = f"{MAT}[[mat]]\nport = 'b'\nname = 'b'\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bed.toml"


def written(file: Path, text: str) -> ConfigFile:
    file.write_text(text)
    return read_file(file)


def option(flag: str, value: Any) -> Given:
    return Given(value, flag, Exit.USAGE)


def problems(file: Path, text: str, **environ: str) -> list[str]:
    """Without the file's name."""
    config, found = examine(written(file, text), environ, {})
    assert (config is None) == bool(found)
    assert all("\n" not in problem.text for problem in found)
    return [problem.text.removeprefix(f"{file}:") for problem in found]


def test_the_command_line_comes_before_the_environment_and_that_before_the_file(file: Path) -> None:
    text = "version = 1\nmodel = 'f'\non_disconnect = 'quit'\nduration_s = 1\nlog_level = 'debug'\n"
    text += "[smoothing]\nmin_cutoff_hz = 2\nbeta_per_cm = 2\n[[mat]]\nport = 'f'\nbaud = 1\norientation = '90'\n"
    environ = {
        "EDGE_RUN_MODEL": "e",
        "EDGE_RUN_DURATION_S": "2.5",
        "EDGE_RUN_PORT": "e",
        "EDGE_RUN_BAUD": "2",
        "EDGE_RUN_SMOOTHING__BETA_PER_CM": "3",
        "EDGE_RUN_SMOOTHING__ENABLED": "no",
        "EDGE_RUN_LOG_LEVEL": "",
        "EDGE_RUN_MQTT_PASSWORD": "secret",
        "EDGE_RUN_CONFIG": "not this one",
        "HOME": "/home/me",
    }
    options = {("model",): option("--model", "c"), ("mat", "baud"): option("--baud", "3")}
    config = read(written(file, text), environ, options)
    assert (config.model, config.on_disconnect, config.duration_s) == (Path("c"), "quit", 2.5)
    assert config.log_level == "debug"
    assert (config.smoothing.min_cutoff_hz, config.smoothing.beta_per_cm, config.smoothing.enabled) == (2, 3, False)
    [mat] = config.mat
    assert (mat.name, mat.port, mat.baud, str(mat.orientation)) == (
        "mat",
        "e",
        3,
        "Orientation(quarter_turns=1, mirrored=False)",
    )


def test_nothing_given_is_the_defaults_without_a_mat() -> None:
    assert read(ConfigFile(), {}, {}) == DaemonConfig()


def test_lists_in_the_environment_are_words_of_a_shell() -> None:
    environ = {
        "EDGE_RUN_OUTPUT": "json:- 'csv:a b.csv'",
        "EDGE_RUN_PORT": "bed=/dev/a /dev/b",
        "EDGE_RUN_HTTP__ALLOWED_HOSTS": "bed.local",
    }
    config = read(ConfigFile(), environ, {})
    assert config.output == ["json:-", "csv:a b.csv"]
    assert [(mat.name, mat.port) for mat in config.mat] == [("bed", "/dev/a"), ("mat2", "/dev/b")]
    assert config.http.allowed_hosts == ["bed.local"]


def test_a_list_replaces_the_one_below(file: Path) -> None:
    text = f"version = 1\noutput = ['json:-', 'csv:a.csv']\n{MAT}"
    assert read(written(file, text), {"EDGE_RUN_OUTPUT": "udp://host:9"}, {}).output == ["udp://host:9"]


def test_a_replay_takes_no_port_from_the_environment(file: Path) -> None:
    [mat] = read(written(file, "version = 1\n[[mat]]\n"), {"EDGE_RUN_PORT": "sim:"}, {}, Path("night.matlog")).mat
    assert mat.port == "night.matlog"


def test_a_port_from_outside_makes_up_for_one_that_the_file_lacks(file: Path) -> None:
    text = "version = 1\n[[mat]]\nname = 'bed'\n"
    assert problems(file, text) == ['2: mat[0].port is missing: write port = "/dev/serial/by-id/usb-Mat_0001"']
    [mat] = read(written(file, text), {"EDGE_RUN_PORT": "sim:"}, {}).mat
    assert (mat.name, mat.port) == ("bed", "sim:")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{TWO}orientatoin = '90'", "7: key `mat[1].orientatoin` is not known (did you mean orientation?)"),
        (f"{MAT}baud = 'fast'", '4: mat[0].baud is "fast", expected a whole number such as 921600'),
        (f"{MAT}baud = true", "4: mat[0].baud is true, expected a whole number such as 921600"),
        (f"{MAT}baud = 0", "4: mat[0].baud is 0, expected a number above 0 such as 921600"),
        ("mat = [{port = 'a', baud = 9.5}]", "2: mat[0].baud is 9.5, expected a whole number such as 921600"),
        (
            "[[mat]]\nport = ''",
            '3: mat[0].port is "", expected text that is not empty such as "/dev/serial/by-id/usb-Mat_0001"',
        ),
        (f"{MAT}format = 'csv'", "4: mat[0].format is \"csv\", expected 'wire'"),
        (f"{MAT}grid = '64'", '4: mat[0].grid is "64", expected rows x columns such as "64x32" (1 to 255)'),
        (f"{MAT}name = 'a/b'", '4: mat[0].name is "a/b", expected up to 64 printable characters, none of / : ='),
        (f"{MAT}[[mat]]\nport = 'b'", "2: 2 mats are called mat: give each a name of its own"),
        ("[mat]\nport = 'a'", '2: mat is {"port": "a"}, expected tables that begin with [[mat]]'),
        ("mat = ['a']", '2: mat[0] is "a", expected tables that begin with [[mat]]'),
        (f"recording.path = 'a.matlog'\n{TWO}", "3: recording a.matlog cannot hold 2 mats: give a folder"),
        ("modle = 'x'", "2: key `modle` is not known (did you mean model?)"),
        ("baud = 5", "2: key `baud` is not known: baud goes below [[mat]]"),
        ("keep_gb = 5", "2: key `keep_gb` is not known: keep_gb goes below [recording]"),
        (
            "[smoothing]\n'log_level' = 'info'",
            "3: key `smoothing.log_level` is not known: log_level goes to the top of the file, before the first [",
        ),
        ("[http]\nx = 1", "3: key `http.x` is not known: there are allowed_hosts"),
        ("smoothing = 5", "2: smoothing is 5, expected a table"),
        ("smoothing.enabled = 'yes'", '2: smoothing.enabled is "yes", expected true or false'),
        ("duration_s = -1", "2: duration_s is -1, expected a number from 0 on such as 3600"),
        ("duration_s = inf", "2: duration_s is Infinity, expected a finite number such as 3600"),
        ("duration_s = 1979-05-27", '2: duration_s is "1979-05-27", expected a number such as 3600'),
        ("on_disconnect = 'panic'", "2: on_disconnect is \"panic\", expected 'restart' or 'quit'"),
        ("model = 5", "2: model is 5, expected a path in quotes"),
        ("output = 'json:-'", '2: output is "json:-", expected a list in brackets such as ["json:-"]'),
        ("output = []", '2: output is [], expected at least one such as ["json:-"]'),
        ("output = [\n'json:-',\n5]", '4: output[1] is 5, expected text in quotes such as "json:-"'),
        ("output = ['json:-', 'json:-']", "2: outputs json:- and json:- would write to the same place: leave one out"),
        (
            "log_level = ['" + "x" * 200 + "']",
            f"2: log_level is [\"{'x' * 78}..., expected 'debug', 'info', 'warning' or 'error'",
        ),
    ],
)
def test_a_problem_names_line_key_value_and_what_was_expected(file: Path, text: str, problem: str) -> None:
    assert problems(file, f"version = 1\n{text}\n") == [problem]


def test_all_problems_are_told_in_the_order_of_their_lines(file: Path) -> None:
    text = "version = 1\nmodle = 1\n[smoothing]\nbeta = 1\nenabled = 1\n[[mat]]\nport = 1\n"
    assert [problem.split(": ")[0] for problem in problems(file, text)] == ["2", "4", "5", "7"]
    with pytest.raises(Failure, match=r":2: key `modle` .* \(and 3 more: --check-config lists them\)") as failure:
        read(written(file, text), {}, {})
    assert failure.value.code == Exit.BAD_CONFIG


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing = 1", "1: version is missing: write version = 1"),
        (
            "\nversion = 2\nnothing = 1",
            f"2: version is 2, {REMEDY}",
        ),
        ("version = '1'", f"1: version is '1', {REMEDY}"),
        ("version = true", f"1: version is True, {REMEDY}"),
    ],
)
def test_of_another_version_nothing_else_is_said(file: Path, text: str, words: str) -> None:
    assert problems(file, text) == [words]


def test_no_password_is_shown(file: Path) -> None:
    told = problems(
        file, "version = 1\noutput = ['mqtt://me:pa55@host', 'mqtts://me:pa55@host']\nmodel = ['http://me:pa55@host']"
    )
    assert len(told) == 3
    assert "pa55" not in "".join(told)


def test_options_and_variables_are_named_as_they_were_given() -> None:
    options = {
        ("mat", "port"): option("--port", ["a", ""]),
        ("mat", "baud"): option("--baud", "fast"),
        ("output",): option("--output", ["gopher:x"]),
    }
    environ = {
        "EDGE_RUN_BAUDD": "1",
        "EDGE_RUN_MAT__BAUD": "1",
        "EDGE_RUN_SMOOTHING__BETTA_PER_CM": "1",
        "EDGE_RUN_XYZ": "1",
        "EDGE_RUN_HTTP__ALLOWED_HOSTS": "'",
        "EDGE_RUN_DURATION_S": "inf",
    }
    config, found = examine(ConfigFile(), environ, options)
    assert config is None
    *variables, port, baud, output = found
    assert [problem.code for problem in variables] == [Exit.BAD_CONFIG] * 6
    assert [problem.text for problem in variables[:5]] == [
        "the environment variable EDGE_RUN_BAUDD is not known (did you mean EDGE_RUN_BAUD?)",
        'EDGE_RUN_HTTP__ALLOWED_HOSTS is "\'", expected words as a shell reads them (No closing quotation)',
        "the environment variable EDGE_RUN_MAT__BAUD is not known (did you mean EDGE_RUN_BAUD?)",
        "the environment variable EDGE_RUN_SMOOTHING__BETTA_PER_CM is not known"
        " (did you mean EDGE_RUN_SMOOTHING__BETA_PER_CM?)",
        "the environment variable EDGE_RUN_XYZ is not known (edge-run --help explains them)",
    ]
    assert port.text.startswith('--port is "", expected text')
    assert baud == Problem('--baud is "fast", expected a whole number such as 921600', Exit.USAGE)
    assert output.text.startswith("--output: output gopher:x: unknown scheme gopher")
    assert output.code == Exit.USAGE


def test_what_an_option_brings_about_is_said_of_the_option(file: Path) -> None:
    text = f"version = 1\nrecording.path = 'a.matlog'\n{MAT}"
    options = {("mat", "port"): option("--port", ["a", "b"])}
    with pytest.raises(Failure, match=r"--port: recording a\.matlog cannot hold 2 mats: give a folder") as failure:
        read(written(file, text), {}, options)
    assert failure.value.code == Exit.USAGE
    options = {("mat", "port"): option("--port", ["a=x", "a=y"])}
    with pytest.raises(Failure, match="--port: 2 mats are called a"):
        read(ConfigFile(), {}, options)
    with pytest.raises(Failure, match="EDGE_RUN_PORT: 2 mats are called a") as failure:
        read(ConfigFile(), {"EDGE_RUN_PORT": "a=x a=y"}, {})
    assert failure.value.code == Exit.BAD_CONFIG
