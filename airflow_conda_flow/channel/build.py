"""Build of a channel: interpreters and wheels become packages, which an index then lists."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.channel.conda_archive import write_conda
from airflow_conda_flow.channel.index_files import index_channel
from airflow_conda_flow.channel.python_package import python_package
from airflow_conda_flow.channel.requirements import closures, download
from airflow_conda_flow.channel.wheel_package import wheel_package

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_conda_flow.channel.conda_archive import CondaPackage
    from airflow_conda_flow.channel.interpreters import Interpreter


def build_channel(
    directory: Path,
    interpreters: Sequence[Interpreter],
    requirements: Sequence[str],
    report: Callable[[str], None],
) -> None:
    """Add packages to a channel; create the channel if it does not exist.

    Existing packages are never rewritten, so that locks that name them stay valid.

    Args:
        directory: directory of the channel.
        interpreters: interpreters to pack as ``python`` packages; wheels are chosen for each of them.
        requirements: libraries to get from PyPI, together with their dependencies.
        report: called with a line for each package.

    Raises:
        SettingError: a text is not a requirement, or PyPI has no wheels for it.
        PackageError: a downloaded file is not a wheel that can be converted.
        ChannelError: an interpreter has no pip, or the channel cannot be indexed.
    """
    # No requirements give one empty closure, for which pip must not be called.
    resolved_together = [closure for closure in closures(requirements) if closure]
    for interpreter in interpreters:
        _add(directory, python_package(interpreter), report)
        _add_wheels(directory, interpreter, resolved_together, report)
    index_channel(directory)


def _add_wheels(
    directory: Path,
    interpreter: Interpreter,
    resolved_together: Sequence[list[str]],
    report: Callable[[str], None],
) -> None:
    # By file name: the same wheel is often part of several closures.
    wheels: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix="airflow-conda-flow-") as work:
        for number, closure in enumerate(resolved_together):
            for wheel in download(closure, interpreter, Path(work) / str(number)):
                wheels[wheel.name] = wheel
        for wheel in wheels.values():
            _add(directory, wheel_package(wheel, interpreter), report)


def _add(directory: Path, package: CondaPackage, report: Callable[[str], None]) -> None:
    folder = directory / package.index["subdir"]
    if (folder / package.file_name).exists():
        report(f"{package.file_name} is there already")
        return
    path = write_conda(package, folder)
    report(f"{package.file_name} ({path.stat().st_size / 1e6:.1f} MB)")
