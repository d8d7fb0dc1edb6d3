"""A machine whose days pass fast: runs of changing environments, prunes in between, ages instead of a clock.

A day passes by making everything that is stored a day older: the files of a datastore, and of a cache all that
says when it was last used. The files of environments keep their times, as on a real machine.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from airflow_conda_flow.channel.conda_archive import CondaPackage, Entry, write_conda
from airflow_conda_flow.channel.index_files import index_channel
from airflow_conda_flow.environments.platform import current_platform

from .flow_machine import Machine

DAY = 86400.0
PYTHON = "{}.{}.{}".format(*sys.version_info[:3])
FLOW = """
import os
@conda_base(python="{python}", libraries={{"weekly": "{version}"}})
class AFlow(FlowSpec):
    @step
    def start(self):
        import weekly
        self.version, self.blob = weekly.VERSION, os.urandom({size})
        self.next(self.end)
    @step
    def end(self):
        import weekly
        assert os.path.exists({flag!r}), "as every run that is to be resumed"
        print("CAME BACK", self.version, weekly.VERSION, len(self.blob))
"""
# Folders of a cache whose entries are used as wholes: what is in them keeps its times.
_WHOLE = ("prefixes", "code", "runtime", "extracted")


class FastYear:
    """A machine with a channel that gets a new version of a library every few runs.

    Args:
        folder: an empty directory.
        python_package: archive of the running Python, for the channel.
        seed: of the sizes and contents.
        size: bytes of each run's artifact, and of each version of the library.
    """

    def __init__(self, folder: Path, python_package: Path, seed: int, size: int) -> None:
        self.channel = folder / "channel"
        self.machine = Machine(folder / "home", str(self.channel))
        self._random = random.Random(seed)
        self._size = size
        self._flag = folder / "may-end"
        self.flows: dict[str, Path] = {}
        subdir = self.channel / current_platform()
        subdir.mkdir(parents=True)
        shutil.copy(python_package, subdir / python_package.name)

    def release(self, version: int) -> None:
        """Add a version of the library to the channel."""
        filler = self._random.randbytes(self._size // 2).hex()
        minor = ".".join(PYTHON.split(".")[:2])
        source = f"VERSION = '{version}'\nFILLER = '{filler}'\n".encode()
        index = {"name": "weekly", "version": str(version), "build": "0", "build_number": 0}
        index |= {"subdir": current_platform(), "depends": [f"python {minor}.*"]}
        entry = Entry(f"lib/python{minor}/site-packages/weekly.py", source)
        write_conda(CondaPackage(index, lambda: [entry]), self.channel / current_platform())
        index_channel(self.channel)

    def run(self, version: int) -> str:
        """Run a flow with that version up to its last step, which fails; returns the run's id."""
        size = self._random.randrange(self._size // 2, self._size)
        text = FLOW.format(python=PYTHON, version=version, size=size, flag=str(self._flag))
        flow = self.machine.flow(text, folder=self.machine.home / str(version))
        done = self.machine.run(flow, "--environment=conda", "run")
        assert "as every run that is to be resumed" in done.stdout, done.stdout + done.stderr
        assert "is not as it was made" not in done.stdout + done.stderr
        run_id = self.kept()[-1]
        self.flows[run_id] = flow
        return run_id

    def pass_days(self, days: float) -> None:
        """Make everything older."""
        for root, folders, names in os.walk(self.machine.home / ".airflow-conda-flow"):
            place = Path(root)
            entries = list(names)
            if place.parent == self.machine.cache and place.name in _WHOLE:
                entries += folders
                folders.clear()
            for name in entries:
                state = (place / name).lstat()
                times = (state.st_atime - days * DAY, state.st_mtime - days * DAY)
                os.utime(place / name, times, follow_symlinks=False)

    def prune(self, keep_last: int) -> None:
        """Prune as a schedule would: the datastore, then the cache."""
        for words in (
            ("datastore", "prune", "--keep-last", str(keep_last)),
            ("cache", "prune", "--older-than", "2d"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "airflow_conda_flow.cli.tool", *words, "--yes"],
                env=self.machine.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr

    def size(self) -> int:
        """Bytes on the disk of the datastore and the cache; a file with several links counts once."""
        found = {}
        for root, _, names in os.walk(self.machine.home / ".airflow-conda-flow"):
            for name in names:
                state = os.lstat(f"{root}/{name}")
                found[state.st_ino] = state.st_blocks * 512
        return sum(found.values())

    def kept(self) -> list[str]:
        """Runs that are there, oldest first."""
        return sorted(each.name for each in (self.machine.datastore / "flows" / "AFlow").iterdir())

    def lose_the_channel(self) -> None:
        """Remove the channel, and the environments that are made of the packages."""
        shutil.rmtree(self.channel)
        shutil.rmtree(self.machine.cache / "prefixes")
        shutil.rmtree(self.machine.cache / "extracted")
        self._flag.touch()

    def resume(self, run_id: str) -> tuple[str, str]:
        """Resume a run; returns the version that it had begun with, and that of its environment now."""
        done = self.machine.run(
            self.flows[run_id], "--environment=conda", "resume", "--origin-run-id", run_id
        )
        found = re.search(r"CAME BACK (\S+) (\S+) \d+", done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert found, done.stdout
        return found[1], found[2]
