"""Solves with a ``conda``, ``mamba`` or ``micromamba`` executable, by a dry run that prints JSON.

The executable only chooses. The records of what it chose come from the channel through py-rattler, which also
checks that they satisfy the spec: one spec id means one set of packages, whoever solves.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_conda_flow.environments.channels import channel_url, split_library
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.solve.executable_answer import (
    ChosenPackage,
    OddAnswer,
    chosen_packages,
    printed_reason,
    read_answer,
    reason_of,
)
from airflow_conda_flow.environments.solve.executable_home import bearer_channels, make_home
from airflow_conda_flow.environments.solve.patience import GivenUp, run_program
from airflow_conda_flow.environments.solve.placed import placed
from airflow_conda_flow.environments.spec import EnvironmentSpec, constraint
from airflow_conda_flow.errors import ChannelError, ResolverNotFound, SolveError

if TYPE_CHECKING:
    from airflow_conda_flow.environments.solve.rattler import RattlerSolver

# Values of ``exception_name`` in conda's JSON that mean an unreadable channel.
_CHANNEL_FAILURES = frozenset(
    ["ChannelDenied", "CondaHTTPError", "CondaSSLError", "ProxyError", "UnavailableInvalidChannel"]
)
_LONGEST_SHEBANG = 256  # bytes of a first line; Linux reads as many


class ExecutableSolver:
    """Solver that runs an executable on PATH.

    Args:
        name: the executable's name.
        cache_dir: directory for repodata.
        credentials: of private channels.
        seconds: how long one solve may take; ``LONGEST`` of ``patience.py`` if None.

    Raises:
        ResolverNotFound: no such executable is on PATH.
    """

    def __init__(self, name: str, cache_dir: Path, credentials: Credentials, seconds: float | None) -> None:
        found = shutil.which(name)
        if found is None:
            raise ResolverNotFound(
                f"The dependency resolver {name!r} is not installed: no such program is on PATH. "
                "Install it, or set METAFLOW_CONDA_DEPENDENCY_RESOLVER (the setting resolver) "
                "to rattler, which needs nothing."
            )
        self._name = name
        self._program = found
        self._cache_dir = cache_dir
        self._credentials = credentials
        self._seconds = seconds

    def solve(
        self,
        specs: Mapping[str, EnvironmentSpec],
        preferred: Mapping[str, Sequence[LockedPackage]] = MappingProxyType({}),
    ) -> dict[str, Lock]:
        """Locks of all specs, by label; no executable can be told which packages to prefer."""
        del preferred
        from airflow_conda_flow.environments.solve.rattler import RattlerSolver  # noqa: PLC0415 - heavy

        rattler = RattlerSolver(self._cache_dir, self._credentials)
        chosen = {}
        for label, spec in specs.items():
            try:
                with placed(spec):
                    chosen[label] = self._choose(label, spec)
            except _Failed as error:
                rattler.solve({label: spec})  # whatever rattler cannot solve either has one message for both
                hint = self._hint_at_pip(rattler, label, spec)
                with placed(spec):
                    raise error.kind(f"{error}{hint}") from error
        return rattler.lock_chosen(specs, chosen, self._name)

    def _choose(self, label: str, spec: EnvironmentSpec) -> tuple[ChosenPackage, ...]:
        done = self._run(label, spec)
        answer = read_answer(done.stdout)
        failed = f"{self._name} cannot solve the environment of {label}"
        if answer is None:
            printed = printed_reason(done.stderr) or printed_reason(done.stdout) or "it printed nothing"
            raise _Failed(f"{failed}: it ended with code {done.returncode} and without an answer: {printed}")
        # conda with its solver of rattler sometimes aborts when its answer is complete.
        complete = answer.get("success") is True and done.returncode < 0
        if done.returncode and not complete:
            reason = reason_of(answer) or f"exit code {done.returncode}"
            if answer.get("exception_name") in _CHANNEL_FAILURES:
                raise _Failed(
                    f"{failed}, because a channel cannot be read: {reason}. Channels are set by "
                    "CONDA_CHANNELS, or the setting channels.",
                    ChannelError,
                )
            raise _Failed(f"{failed}: {reason}")
        try:
            packages = chosen_packages(answer)
        except OddAnswer as error:
            raise SolveError(
                f"{failed}: {self._program} gave an answer that cannot be used, because {error}. "
                "Replace that program by another version, or set resolver to rattler."
            ) from error
        if not packages:
            raise _Failed(
                f"{self._name} found no packages for the environment of {label}: "
                f"{reason_of(answer) or 'its answer lists none'}"
            )
        return packages

    def _run(self, label: str, spec: EnvironmentSpec) -> subprocess.CompletedProcess[str]:
        texts = [_text("python", spec.python)]
        own_channels = []
        for name, version in spec.libraries.items():
            channel, package = split_library(name)
            if channel is not None:
                own_channels.append(channel_url(channel))
            prefix = "" if channel is None else f"{channel_url(channel)}::"
            texts.append(_text(f"{prefix}{package}", version))
        channels = [channel_url(each) for each in spec.channels]
        all_channels = list(dict.fromkeys([*channels, *own_channels]))
        unusable = bearer_channels(all_channels, self._credentials) if self._name == "conda" else []
        if unusable:
            raise ChannelError(
                f"conda cannot solve the environment of {label}: the channel {' and '.join(unusable)} takes "
                "a bearer token, which conda cannot send. Set resolver to rattler, mamba or micromamba."
            )
        words = ["create", "--dry-run", "--json", "--yes", "--override-channels"]
        # The configuration of conda's installation is read too; mamba's own program has no such option.
        words += ["--no-default-packages"] if self._name == "conda" else []
        # conda reads a library's own channel only if it is one of all: last, as for py-rattler.
        words += [word for each in all_channels for word in ("-c", each)]
        with tempfile.TemporaryDirectory(prefix="airflow-conda-flow-", ignore_cleanup_errors=True) as folder:
            environ = make_home(
                Path(folder),
                spec,
                all_channels,
                self._credentials,
                self._cache_dir / self._name,
                own_channels if self._name == "conda" else (),
            )
            command = [self._program, *words, "--prefix", f"{folder}/prefix", *texts]
            what = f"{self._name}, which solves the environment of {label}"
            try:
                return run_program(command, what, environ, seconds=self._seconds, folder=folder)
            except GivenUp as error:
                raise SolveError(
                    f"{self._name} ({self._program}) cannot solve the environment of {label}: {error}; "
                    "it was ended. Run it by hand to see why, set CONDA_FLOW_RESOLVER_SECONDS to more, "
                    "or set resolver to rattler."
                ) from error
            except OSError as error:
                raise SolveError(
                    f"{self._name} ({self._program}) cannot be started: {self._start_fault(error)}. "
                    "Mend it, or set resolver to rattler."
                ) from error

    def _start_fault(self, error: OSError) -> str:
        """Reason why the program cannot be started; Linux reports a missing interpreter as a missing file."""
        if isinstance(error, FileNotFoundError):
            try:
                with Path(self._program).open("rb") as file:
                    line = file.readline(_LONGEST_SHEBANG).decode(errors="replace").strip()
            except OSError:
                line = ""
            if line.startswith("#!"):
                return f"its first line names a program that does not exist: {line}"
        return error.strerror or str(error)

    def _hint_at_pip(self, rattler: RattlerSolver, label: str, spec: EnvironmentSpec) -> str:
        if self._name != "conda" and rattler.lacks({label: spec}, "pip"):  # conda is told to add none
            return (
                f". py-rattler can solve it: {self._name} may add pip to every Python, and no channel here "
                "has pip. Add it (airflow-conda-flow channel build --pip), or set resolver to rattler."
            )
        return ". py-rattler can solve it: set resolver to rattler."


class _Failed(Exception):
    """The executable failed; py-rattler may know why."""

    def __init__(self, message: str, kind: type[SolveError | ChannelError] = SolveError) -> None:
        super().__init__(message.rstrip("."))
        self.kind = kind


def _text(name: str, version: str) -> str:
    """Match specification of conda: exact as ever, a range behind a space.

    >>> _text("numpy", "1.26.4"), _text("numpy", ">=1.26,<2"), _text("numpy", "")
    ('numpy==1.26.4', 'numpy >=1.26,<2', 'numpy')
    """
    limit = constraint(version)
    return f"{name}{limit}" if limit.startswith("==") else f"{name} {limit}".rstrip()
