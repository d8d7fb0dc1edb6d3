"""A machine for tests: a home directory of its own, in which flow files are written and run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .signals import start

KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Machine:
    """Runs flows under a home directory; nothing of the real one is seen.

    Attributes:
        home: the home directory.
        environ: the environment variables of what it runs.
    """

    def __init__(self, home: Path, channel_url: str | None = None, **environ: str) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.environ.update(HOME=str(home), USER="tester", **environ)
        if channel_url is not None:
            self.environ["CONDA_CHANNELS"] = channel_url

    def flow(self, text: str, name: str = "a_flow.py", folder: Path | None = None) -> Path:
        """A flow file with the usual import and ending around a class ``AFlow``."""
        path = (folder or self.home) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "from airflow_conda_flow import FlowSpec, JSONType, Parameter, conda, conda_base, current, step\n"
            + textwrap.dedent(text)
            + '\nif __name__ == "__main__":\n    AFlow()\n'
        )
        return path

    def command(self, flow: Path, *words: str) -> list[str]:
        """The command line of a flow file."""
        return [sys.executable, str(flow), *words]

    def run(
        self, flow: Path, *words: str, seconds: float = 240, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a flow file to its end."""
        return subprocess.run(
            self.command(flow, *words),
            capture_output=True,
            text=True,
            env={**self.environ, **environ},
            cwd=self.home,
            check=False,
            timeout=seconds,
        )

    @contextmanager
    def started(
        self, flow: Path, *words: str, ignored: Iterable[signal.Signals] = ()
    ) -> Iterator[subprocess.Popen[str]]:
        """A flow file that runs while the block does; what is left of it at the block's end is killed.

        Args:
            flow: the file.
            words: its arguments.
            ignored: signals that it ignores from its start; it hears all others, whoever started the tests.
        """
        with start(
            self.command(flow, *words),
            ignored=ignored,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environ,
            cwd=self.home,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def datastore(self) -> Path:
        """The local datastore."""
        return self.home / ".airflow-conda-flow" / "datastore"

    @property
    def cache(self) -> Path:
        """The cache directory."""
        return self.home / ".airflow-conda-flow" / "cache"

    def manifests(self, flow: str = "AFlow") -> dict[str, dict]:
        """The task manifests of the only run of a flow, by ``step/task id``."""
        (run,) = (self.datastore / "flows" / flow).iterdir()
        return {
            f"{path.parent.parent.name}/{path.parent.name}": json.loads(path.read_text())
            for path in run.glob("*/*/*.json")
        }
