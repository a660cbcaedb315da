"""edge-install: what it writes, what it leaves alone, and what it says."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import REPOSITORY

from edge.config.file import read_file
from edge.config.read import read
from edge.install import CONFIG, RULES, UNIT, main
from firmware_bridge.errors import Exit, Failure

PATHS = (UNIT, RULES, CONFIG)
PAGE = REPOSITORY / "docs" / "install.md"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "edge-run"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def run(root: Path, program: Path, *options: str) -> int:
    return main(["--root", str(root), "--edge-run", str(program), *options])


def said(capsys: pytest.CaptureFixture[str], root: Path) -> dict[str, str]:
    """What was done to each file, by its path under the root."""
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    return {path.removeprefix(f"{root}/"): done for done, path in lines}


def test_three_files_are_written_readable_by_all_and_nothing_else(
    root: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, program) == Exit.OK
    assert said(capsys, root) == dict.fromkeys(PATHS, "wrote")
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) == sorted(PATHS)
    assert all((root / path).stat().st_mode & 0o777 == 0o644 for path in PATHS)
    assert f"\nExecStart={program} --config /etc/edge-run/%i.toml\n" in (root / UNIT).read_text()


def test_a_second_time_changes_nothing(root: Path, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, program)
    before = {path: (root / path).stat().st_mtime_ns for path in PATHS}
    said(capsys, root)
    assert run(root, program) == Exit.OK
    assert said(capsys, root) == {UNIT: "unchanged", RULES: "unchanged", CONFIG: "kept"}
    assert {path: (root / path).stat().st_mtime_ns for path in PATHS} == before


def test_its_own_older_files_are_brought_up_to_date(
    root: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = program.with_name("older")
    program.rename(older)
    run(root, older)
    older.rename(program)
    said(capsys, root)
    assert run(root, program) == Exit.OK
    assert said(capsys, root) == {UNIT: "wrote", RULES: "unchanged", CONFIG: "kept"}
    assert str(program) in (root / UNIT).read_text()


@pytest.mark.parametrize("path", [UNIT, RULES])
def test_what_somebody_changed_or_wrote_is_left_alone_without_force(
    root: Path, program: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, program)
    ours = (root / path).read_text()
    for theirs in (ours + "# mine\n", "# all mine\n", ""):
        (root / path).write_text(theirs)
        said(capsys, root)
        with pytest.raises(Failure, match=f"{path}: changed by somebody, left alone: .*--force") as caught:
            run(root, program)
        assert caught.value.code == Exit.CHECK_FAILED
        assert said(capsys, root)[path] == "changed"
        assert (root / path).read_text() == theirs
        assert run(root, program, "--force") == Exit.OK
        assert (root / path).read_text() == ours


def test_a_configuration_that_exists_is_never_touched(root: Path, program: Path) -> None:
    (root / CONFIG).parent.mkdir(parents=True)
    (root / CONFIG).write_text("mine = true\n")
    assert run(root, program, "--force") == Exit.OK
    assert (root / CONFIG).read_text() == "mine = true\n"


def test_print_shows_the_files_and_writes_none(root: Path, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, program, "--print") == Exit.OK
    shown = capsys.readouterr().out
    assert not root.exists()
    run(root, program)
    for path in PATHS:
        assert f"# /{path}\n{(root / path).read_text()}" in shown


@pytest.mark.parametrize("name", ["none", "folder", "50% of it", "relative"])
def test_a_program_that_systemd_cannot_start_is_refused(root: Path, program: Path, name: str) -> None:
    path = program.with_name(name)
    if name == "folder":
        path.mkdir()
    elif name == "50% of it":
        program.rename(path)
    with pytest.raises(Failure, match=f"no edge-run at .*{name}: give its absolute path by --edge-run") as caught:
        run(root, Path("relative") if name == "relative" else path)
    assert caught.value.code == Exit.MISSING_INPUT
    assert not root.exists()


def test_an_environment_that_the_service_cannot_see_is_refused(root: Path, program: Path) -> None:
    """Its Python is in /tmp, which PrivateTmp= hides as ProtectHome= hides /home."""
    python = program.with_name("python")
    python.symlink_to(sys.executable)
    child = textwrap.dedent("""
        import sys
        sys.executable, root = sys.argv[1:]
        from edge.install import main
        from firmware_bridge.errors import run_command
        sys.exit(run_command("edge-install", lambda: main(["--root", root])))
    """)
    done = subprocess.run([sys.executable, "-c", child, python, root], capture_output=True, text=True)
    hidden = program.is_relative_to("/tmp")
    assert done.returncode == (Exit.USAGE if hidden else Exit.OK)
    if hidden:
        assert done.stderr.startswith(f"edge-install: {program} is where a system service cannot look: ")


def test_without_permission_it_names_sudo(root: Path, program: Path, tmp_path: Path) -> None:
    """In a child with an unprivileged user, as root may write everywhere."""
    tmp_path.chmod(0o755)
    root.mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001 and os.geteuid() == 0 and folder.is_relative_to("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    child = textwrap.dedent("""
        import os, sys
        from edge.install import main
        from firmware_bridge.errors import run_command
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        sys.exit(run_command("edge-install", lambda: main(sys.argv[1:])))
    """)
    command = [sys.executable, "-c", child, "--root", root, "--edge-run", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == Exit.PERMISSION, done.stderr
    assert done.stderr == f"edge-install: cannot write {root / UNIT}: Permission denied: run it with sudo\n"


def page_blocks(language: str) -> list[str]:
    """Code blocks of docs/install.md."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_configuration_of_the_page_is_valid(tmp_path: Path) -> None:
    blocks = page_blocks("toml")
    assert len(blocks) == 3
    for block in blocks:
        path = tmp_path / "bed.toml"
        path.write_text(block)
        assert read(read_file(path), {}, {}).mat[0].name == "bed"


def page_commands() -> list[str]:
    """Calls of our programs."""
    lines = "\n".join(page_blocks("")).replace("\\\n", " ").splitlines()
    calls = [call.strip().removeprefix("sudo ") for line in lines for call in line.split("&&")]
    return sorted({call for call in calls if call.startswith("edge-")})


def test_the_page_calls_each_program() -> None:
    assert {command.split()[0] for command in page_commands()} == {"edge-run", "edge-doctor", "edge-install"}


@pytest.mark.parametrize("command", page_commands())
def test_every_command_of_the_page_exists_with_its_options(command: str) -> None:
    program, *arguments = command.split()
    module = program.replace("-", ".")
    call = [sys.executable, "-c", f"from {module} import cli; cli()", "--help"]
    text = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    for option in arguments:
        if option.startswith("-"):
            assert re.search(rf"(^|[\s,]){re.escape(option)}\b", text), f"{program} has no {option}"


def test_the_page_s_additions_to_the_service_are_valid(root: Path, program: Path) -> None:
    """Each as `systemctl edit` would store it."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    run(root, program)
    blocks = page_blocks("ini")
    assert len(blocks) == 3
    for block in [*blocks, "[Service]\nLoadCredentail=x\n"]:
        folder = root / f"{UNIT}.d"
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").write_text(block)
        command = ["systemd-analyze", "verify", "--man=no", str(root / UNIT)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"SYSTEMD_UNIT_PATH": f"{(root / UNIT).parent}:"}
        )
        assert ("LoadCredentail" in done.stderr) == ("LoadCredentail" in block), done.stderr
        if block in blocks:
            assert (done.returncode, done.stderr) == (0, "")
