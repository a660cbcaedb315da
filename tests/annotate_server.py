"""A running train-annotate for tests, and a night of a simulated person to annotate."""

import json
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from train import export

PROGRAM = (
    "import sys; from firmware_bridge.errors import run_extra; "
    "sys.exit(run_extra('train-annotate', 'train.annotate.command', 'train'))"
)


def simulated_night(folder: Path) -> Path:
    """40 s, two frames a second, of a person whose seed is not for training."""
    path = folder / "night.matlog"
    export.main(["--simulated", "7", "--duration", "40", "--rate", "2", "--out", str(path)])
    return path


class Running:
    """train-annotate as a process of its own, on a free port or on `port`."""

    def __init__(self, *arguments: object, port: int = 0) -> None:
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments), "--no-browser", "--port", str(port)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.url, self.port = found[0], int(found[1])
                return
        self.process.wait()
        raise AssertionError(said)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of one request, as the page sends it unless `headers` say otherwise."""
        host = f"127.0.0.1:{self.port}"
        sent = {"Host": host} | ({"Origin": f"http://{host}"} if method == "POST" else {}) | headers
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def session(self) -> Any:
        return json.loads(self.ask("GET", "/session.json")[1])

    def kill(self) -> None:
        """As a power cut would: no handler of the process runs."""
        self.process.send_signal(signal.SIGKILL)
        self._gone()

    def stop(self) -> tuple[int, str]:
        """Exit code and the rest of stderr."""
        self.process.terminate()
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return self._gone(), said

    def _gone(self) -> int:
        code = self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def refused(*arguments: object) -> tuple[int, str]:
    """Exit code and stderr of a train-annotate that does not come to serve."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments), "--no-browser"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr
