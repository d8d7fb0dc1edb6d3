"""The directory that the runner of a container lives in, as ``docker/install_runner.py`` makes it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from airflow_conda_flow.errors import SettingError


def runner_home() -> Path | None:
    """The directory with the runner that runs now; None in an ordinary installation of the package."""
    home = Path(sys.prefix).parent
    return home if (home / "bin" / "runner").is_file() and (home / "runner.py").is_file() else None


def install(directory: Path) -> None:
    """Copy the runner into a directory, over what an earlier try left there.

    Raises:
        SettingError: this is not a runner that can be copied.
        OSError: the directory cannot be written.
    """
    home = runner_home()
    if home is None:
        raise SettingError(
            "Only the runner of a runner image can be installed elsewhere. Run this in one: "
            "docker run IMAGE /opt/airflow-conda-flow/bin/runner install DIRECTORY."
        )
    # Not copytree of the directory itself: a volume's own mode and times are not ours to change.
    directory.mkdir(parents=True, exist_ok=True)
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.copytree(entry, directory / entry.name, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, directory / entry.name)
