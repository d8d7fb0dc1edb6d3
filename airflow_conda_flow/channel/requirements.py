"""Download of wheels with all their dependencies, by pip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from airflow_conda_flow.errors import ChannelError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_conda_flow.channel.interpreters import Interpreter


def parse_requirement(text: str) -> Requirement:
    """Requirement in a text.

    Raises:
        SettingError: the text is not a requirement.
    """
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise SettingError(
            f"{text!r} is not a requirement. Write name==version, such as numpy==1.26.4."
        ) from error


def closures(texts: Sequence[str]) -> Iterator[list[str]]:
    """Sets of requirements that pip has to resolve together.

    Each version of a library that is named several times gives a set, together with all libraries that
    are named once: pip cannot install two versions of a library.

    Raises:
        SettingError: a text is not a requirement.

    >>> list(closures(["a==1", "a==2", "b==3"]))
    [['b==3', 'a==1'], ['b==3', 'a==2']]
    """
    by_name: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        by_name.setdefault(canonicalize_name(parse_requirement(text).name), []).append(text)
    single = [versions[0] for versions in by_name.values() if len(versions) == 1]
    several = [versions for versions in by_name.values() if len(versions) > 1]
    if not several:
        yield single
    for versions in several:
        for text in versions:
            yield [*single, text]


def download(requirements: Sequence[str], interpreter: Interpreter, folder: Path) -> list[Path]:
    """Download the wheels that pip chooses for an interpreter, including dependencies; return their paths.

    Args:
        requirements: a set that can be resolved together.
        interpreter: interpreter that the wheels are for.
        folder: directory for the wheels.

    Raises:
        SettingError: there is no such version, or no wheel of it for this interpreter.
        ChannelError: there is no pip that works for this interpreter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Wheels only: a source distribution would have to be built first.
    done = _run(
        [*_pip(interpreter), "download", "--disable-pip-version-check", "--quiet"]
        + ["--only-binary=:all:", "--dest", str(folder), *requirements]
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.lstrip().startswith("ERROR:")]
        reason = "\n  ".join(lines or _telling_lines(done.stderr)[-2:])
        raise SettingError(
            f"PyPI has no wheels for Python {interpreter.version} that satisfy"
            f" {' '.join(requirements)}. pip says:\n  {reason}"
        )
    return sorted(folder.glob("*.whl"))


def _telling_lines(text: str) -> list[str]:
    """Lines of pip's output without its notes about ignored locations."""
    return [line.strip() for line in text.splitlines() if line and "is ignored" not in line]


def _pip(interpreter: Interpreter) -> list[str]:
    """Command that runs pip for an interpreter: its own pip, else that of its base, else that of this Python.

    Virtual environments that uv made have no pip; their base interpreter often has one.

    Raises:
        ChannelError: none of them has a pip that supports this interpreter.
    """
    target = ["-m", "pip", "--python", str(interpreter.executable)]
    own = [str(interpreter.executable), "-m", "pip"]
    base = [str(interpreter.base_prefix / "bin" / f"python{interpreter.minor}"), *target]
    for command in (own, base, [sys.executable, *target]):
        if _run([*command, "--version"]).returncode == 0:
            return command
    raise ChannelError(
        f"Python {interpreter.version} has no pip, and this Python has none that can stand in. "
        f"Install one: {sys.executable} -m ensurepip"
    )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH and its like are meant for the running interpreter and could break another version's pip.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    except OSError as error:
        # 127, as a shell reports a command that does not exist.
        return subprocess.CompletedProcess(command, 127, "", str(error))
