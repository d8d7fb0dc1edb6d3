"""The directory that holds a container's runner, as ``self_contained.py`` makes it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.container_command import RUNNER


def runner_home() -> Path | None:
    """Directory of the runner that runs now; None in an ordinary installation of the package."""
    # The self-contained runner has its interpreter in ``python/`` and its start files one level up. No
    # ordinary installation has both files there.
    home = Path(sys.prefix).parent
    return home if (home / "bin" / "runner").is_file() and (home / "runner.py").is_file() else None


def install(directory: Path) -> None:
    """Copy the runner into a directory; files of an earlier try are overwritten.

    Raises:
        SettingError: this process is not a self-contained runner, so there is nothing to copy.
        OSError: the directory cannot be written.
    """
    home = runner_home()
    if home is None:
        raise SettingError(
            "Only the runner of a runner image can be installed elsewhere. Run this in one: "
            f"docker run IMAGE {RUNNER} install DIRECTORY."
        )
    # Copy the entries, not the directory itself: copytree would set the mode and times of the directory,
    # which may be a volume's mount point that this user does not own.
    directory.mkdir(parents=True, exist_ok=True)
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.copytree(entry, directory / entry.name, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, directory / entry.name)
