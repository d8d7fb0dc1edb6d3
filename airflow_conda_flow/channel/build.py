"""Builds a channel: interpreters and wheels become packages, and an index says what there is."""

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
    """Add packages to a channel, and make the channel if it is not there.

    A package that the channel has already is left alone, so that locks of it stay valid.

    Args:
        directory: the channel.
        interpreters: become ``python`` packages; wheels are chosen for each.
        requirements: what to get from PyPI, with all that it depends on.
        report: takes a line for each package.

    Raises:
        SettingError: a requirement cannot be had.
        ChannelError: the channel's index cannot be made.
    """
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
