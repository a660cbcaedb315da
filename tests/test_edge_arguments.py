"""The command line: options, the manual, and the questions that it answers."""

import math
import re
from pathlib import Path

import pytest
from edge_packages import package

from edge import __version__
from edge.arguments import CORRECTIONS, OPTIONS, Options, as_replayed, parse
from edge.config.settings import DaemonConfig
from edge.manual import EXIT_CODES, WIDTH
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Orientation
from firmware_bridge.link import DEFAULT_BAUD

SECTION_9 = (
    "--port --model --format --baud --grid --pitch --orientation --dtr --no-dtr -r --replay --speed -w --record -T"
    " --duration -c --config -F --output --on-disconnect --token-file --list-ports --check-config"
)
"""The options that DESIGN.md lists."""
OTHERS = "--print-config --mirrored-too --no-smoothing --mat --state-dir --version -h --help"


def run(line: str, **environ: str) -> tuple[Options, DaemonConfig]:
    return parse(line.split(), environ)


def answer(capsys: pytest.CaptureFixture[str], line: str, **environ: str) -> tuple[int, str]:
    """Exit code and stdout of a question."""
    with pytest.raises(SystemExit) as end:
        run(line, **environ)
    return int(end.value.code or 0), capsys.readouterr().out


def refusal(line: str, **environ: str) -> Failure:
    with pytest.raises(Failure) as failure:
        run(line, **environ)
    assert "\n" not in str(failure.value)
    return failure.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bed.toml"


def test_one_port_is_a_run() -> None:
    options, config = run("--port sim:")
    assert options == Options(replay=None, speed=math.inf, list_ports=False)
    [mat] = config.mat
    assert (mat.name, mat.port, mat.baud, mat.dtr, mat.orientation) == ("mat", "sim:", DEFAULT_BAUD, None, None)
    assert (config.output, config.on_disconnect, config.duration_s) == (["json:-"], "restart", math.inf)
    assert config.smoothing.enabled
    assert not config.mirrored_too


def test_every_option_reaches_its_setting() -> None:
    line = (
        "--port bed=/dev/a --port sim:?seed=7 --model m.tflite --format wire --baud 9600 --grid 32x64 --pitch 2.5x1.5"
        " --orientation mirrored-90 --no-dtr --on-disconnect quit --mirrored-too --no-smoothing -T 2.5"
        " -F json:a.jsonl -F udp://h:9 -w nights --token-file t --state-dir s"
    )
    _, config = run(line)
    assert [(mat.name, mat.port) for mat in config.mat] == [("bed", "/dev/a"), ("mat2", "sim:?seed=7")]
    for mat in config.mat:
        assert (mat.format, mat.baud, mat.dtr, mat.orientation) == ("wire", 9600, False, Orientation(1, mirrored=True))
        assert (str(mat.grid), str(mat.pitch_cm)) == ("32x64", "2.5x1.5")
    assert (config.model, config.token_file, config.state_dir) == (Path("m.tflite"), Path("t"), Path("s"))
    assert config.recording.path == Path("nights")
    assert config.mirrored_too
    assert (config.on_disconnect, config.duration_s, config.smoothing.enabled) == ("quit", 2.5, False)
    assert config.output == ["json:a.jsonl", "udp://h:9"]
    assert {option for option in OPTIONS if option in line} == set(OPTIONS) - {
        "--mat",
        "--dtr",
        "--duration",
        "--output",
        "--record",
    }


@pytest.mark.parametrize(("speed", "times"), [("1", 1), ("0.5", 0.5), ("max", math.inf)])
def test_a_replay_takes_the_settings_of_its_mat(file: Path, speed: str, times: float) -> None:
    file.write_text("version = 1\n[[mat]]\nname = 'a'\n[[mat]]\nname = 'b'\norientation = '180'\n")
    options, config = run(f"-r night.matlog --speed {speed} --mat b -c {file}", EDGE_RUN_PORT="/dev/a")
    assert (options.replay, options.speed) == (Path("night.matlog"), times)
    [mat] = config.mat
    assert (mat.name, mat.orientation) == ("b", Orientation(2))


@pytest.mark.parametrize("option", ["--grid 32x64", "--pitch 2.5x1.5", "--orientation mirrored-90"])
def test_other_commands_correct_a_recorded_mat_as_edge_run_does(option: str) -> None:
    flag, text = option.split()
    [mat] = run(f"--replay night.matlog {option}")[1].mat
    [told] = as_replayed({flag: text}).mat
    assert (told.grid, told.pitch_cm, told.orientation) == (mat.grid, mat.pitch_cm, mat.orientation)
    with pytest.raises(Failure) as failure:
        as_replayed({flag: "up"})
    assert (str(failure.value), failure.value.code) == (str(refusal(f"--replay n {flag} up")), Exit.USAGE)
    assert flag in CORRECTIONS


def test_other_commands_correct_a_mat_for_users_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert refusal("--port sim:").code == Exit.BAD_CONFIG
    assert as_replayed({"--pitch": "2"}).mat[0].pitch_cm


def test_the_environment_may_name_the_file_and_the_command_line_another(file: Path, tmp_path: Path) -> None:
    file.write_text("version = 1\n[[mat]]\nport = 'from the file'\n")
    assert run("", EDGE_RUN_CONFIG=str(file))[1].mat[0].port == "from the file"
    assert run(f"-c {file}", EDGE_RUN_CONFIG=str(tmp_path / "none"))[1].mat[0].port == "from the file"
    assert run("--port sim:", EDGE_RUN_CONFIG="")[1].mat[0].port == "sim:"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "give either --port or --replay"),
        ("--mat bed", "give either --port or --replay"),
        ("--port sim: --replay x.matlog", "give either --port or --replay"),
        ("--replay x.matlog --record y.matlog", "--record goes with --port"),
        ("--port sim: --speed 2", "--speed goes with --replay"),
        ("--port sim: --output gopher:x", "--output: output gopher:x: unknown scheme"),
        ("--port sim: --orientation sideways", '--orientation is "sideways", expected one of 0, 90'),
        ("--port sim: --duration -1", '--duration is "-1", expected a number from 0 on'),
        ("--port sim: --duration inf", '--duration is "inf", expected a finite number'),
        ("--port sim: --on-disconnect panic", "--on-disconnect is \"panic\", expected 'restart' or 'quit'"),
        ("--port sim: --format csv", "--format is \"csv\", expected 'wire'"),
        ("--port sim: --mat a/b", '--mat is "a/b", expected up to 64'),
        ("--port a=sim: --port a=sim:", "--port: 2 mats are called a"),
        ("--port a --port b --mat c", "NAME=DEVICE"),
        ("--port a --port b --record night.matlog", "cannot hold 2 mats"),
    ],
)
def test_wrong_usage_is_one_line(line: str, words: str) -> None:
    failure = refusal(line)
    assert words in str(failure)
    assert failure.code == Exit.USAGE


@pytest.mark.parametrize("line", ["--port sim: --colour red", "--replay x --speed 0", "--port", "--por sim:", "sim:"])
def test_what_argparse_refuses_is_wrong_usage(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert answer(capsys, line)[0] == Exit.USAGE


def test_files_that_are_missing_or_wrong_have_codes_of_their_own(file: Path) -> None:
    assert refusal(f"-c {file}").code == Exit.MISSING_INPUT
    file.write_text("version = 1\nmodle = 1\n")
    assert refusal(f"-c {file}").code == Exit.BAD_CONFIG
    assert refusal("--port sim:", EDGE_RUN_MODLE="x").code == Exit.BAD_CONFIG


def test_listing_ports_looks_at_nothing_else(tmp_path: Path) -> None:
    options, config = run(f"--list-ports --model /nowhere -c {tmp_path / 'none'}", EDGE_RUN_X="1")
    assert options.list_ports
    assert config.mat == []


def test_a_configuration_that_would_run_is_fine(capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path) -> None:
    model = package(tmp_path)
    file.write_text(
        f"version = 1\nmodel = '{model}'\nstate_dir = '{tmp_path}'\noutput = ['json:-', 'udp://h:9', 'csv:a.csv']\n"
        "[[mat]]\nport = 'sim:'\n[[mat]]\nname = 'b'\nport = '/dev/none'\n"
    )
    assert answer(capsys, f"-c {file} --check-config") == (0, f"{file} is fine: 2 mats, 3 outputs\n")
    assert answer(capsys, f"-c {file} --check-config --port sim: -F json:-") == (
        0,
        f"{file} is fine: 1 mat, 1 output\n",
    )
    said = answer(capsys, f"--model {model} --state-dir {tmp_path} --port sim: --check-config")
    assert said == (0, "the configuration is fine: 1 mat, 1 output\n")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("version = 1\nmodle = 1\n[[mat]]\nbaud = 1\n", ["2: key `modle` is not", "3: mat[0].port is missing"]),
        (
            "version = 1\n\nmodel = '/none.tflite'\nstate_dir = '.'\n[[mat]]\nport = 'sim:'\n",
            ["3: no model /none.tflite"],
        ),
        ("version = \n", ["1: this is no TOML: invalid value"]),
    ],
)
def test_what_is_wrong_with_a_configuration_is_a_line_each(
    capsys: pytest.CaptureFixture[str], file: Path, text: str, lines: list[str]
) -> None:
    file.write_text(text)
    code, said = answer(capsys, f"-c {file} --check-config")
    assert code == Exit.BAD_CONFIG
    assert len(said.splitlines()) == len(lines)
    assert all(told.startswith(f"{file}:{line}") for told, line in zip(said.splitlines(), lines, strict=True))


def test_checking_a_file_that_is_missing(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, said = answer(capsys, f"-c {file} --check-config")
    assert code == Exit.MISSING_INPUT
    assert said.startswith(f"no configuration {file}")


def test_what_is_printed_runs_as_what_it_was_printed_from(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    line = "--port bed=/dev/a --port b=/dev/b --no-smoothing --grid 32x64 --orientation 90 -F json:- -F udp://h:9"
    code, printed = answer(capsys, f"{line} --print-config")
    assert code == 0
    file.write_text(printed)
    assert run(f"-c {file}") == run(line)


def test_a_configuration_is_printed_without_a_port_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n#[[mat]]\n" in answer(capsys, "--print-config")[1]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "--version") == (0, f"edge-run {__version__}\n")


@pytest.fixture
def manual(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    return answer(capsys, "--help")[1]


def test_the_manual_explains_every_option(manual: str) -> None:
    _, _, options = manual.partition("where frames come from:")
    explained = set(re.findall(r"(?:^  |, )(-\w|--[a-z-]+)(?=[ ,\n])", manual, re.MULTILINE))
    assert explained == set(f"{SECTION_9} {OTHERS}".split())
    assert set(OPTIONS) <= explained
    assert "as fast as possible (the default)" in " ".join(options.split())
    assert f"(default {DEFAULT_BAUD})" in manual
    assert "(default restart)" in " ".join(manual.split())


def test_the_manual_explains_every_exit_code(manual: str) -> None:
    assert set(EXIT_CODES) == set(Exit)
    _, _, codes = manual.partition("\nEXIT CODES:\n")
    assert [int(code) for code in re.findall(r"^  ([ \d]\d)  \w", codes, re.MULTILINE)] == list(Exit)


def test_the_manual_has_its_sections_and_is_80_wide(manual: str) -> None:
    sections = [
        manual.index(f"\n{title}:\n") for title in ("FILES", "ENVIRONMENT", "SIGNALS", "EXIT CODES", "EXAMPLES")
    ]
    assert sections == sorted(sections)
    assert max(map(len, manual.splitlines())) <= WIDTH == 80


def test_every_example_of_the_manual_is_understood(
    manual: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last two write a file, which is fine as it is."""
    monkeypatch.chdir(tmp_path)
    examples = manual.partition("\nEXAMPLES:\n")[2].replace("\\\n", "").strip().splitlines()
    assert len(examples) == 6
    for example in examples[:-2]:
        command = example.split("|")[0].split()
        assert command[0] == "edge-run"
        assert run(" ".join(command[1:]))[1].mat
    writes, name = examples[-2].split(" > ")
    for example in (writes, examples[-1]):
        with pytest.raises(SystemExit) as ended:
            run(example.partition("edge-run ")[2])
        assert ended.value.code == Exit.OK
        if example == writes:
            (tmp_path / name).write_text(capsys.readouterr().out)
