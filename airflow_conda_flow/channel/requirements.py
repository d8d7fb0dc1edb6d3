"""Gets the wheels of some requirements, with all that they depend on, through pip."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from airflow_conda_flow.channel.interpreters import Interpreter
from airflow_conda_flow.errors import SettingError


def check_requirements(texts: Sequence[str]) -> None:
    """Raise ``SettingError`` for the first text that is not a requirement."""
    for text in texts:
        try:
            Requirement(text)
        except InvalidRequirement as error:
            raise SettingError(
                f"{text!r} is not a requirement. Write name==version, such as numpy==1.26.4."
            ) from error


def closures(texts: Sequence[str]) -> Iterator[list[str]]:
    """Sets of requirements that are to be resolved together.

    A library that is named in several versions gives one set for each of them, with every library
    that is named once.
    """
    by_name: dict[str, list[str]] = {}
    for text in texts:
        by_name.setdefault(canonicalize_name(Requirement(text).name), []).append(text)
    single = [versions[0] for versions in by_name.values() if len(versions) == 1]
    several = [versions for versions in by_name.values() if len(versions) > 1]
    if not several:
        yield single
    for versions in several:
        for text in versions:
            yield [*single, text]


def download(requirements: Sequence[str], interpreter: Interpreter, folder: Path) -> list[Path]:
    """The wheels that pip chooses for an interpreter, those of dependencies too.

    Raises:
        SettingError: pip finds no such version, or no wheel of it for this interpreter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [interpreter.executable, "-m", "pip", "download", "--disable-pip-version-check"]
        + ["--quiet", "--only-binary=:all:", "--dest", folder, *requirements],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = "\n  ".join(lines or done.stderr.strip().splitlines()[-3:])
        raise SettingError(
            f"pip of Python {interpreter.version} cannot get {' '.join(requirements)}:\n  {reason}"
        )
    return sorted(folder.glob("*.whl"))
