"""Solves with a ``conda``, ``mamba`` or ``micromamba`` executable, by a dry run that prints JSON."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from airflow_conda_flow.environments.channels import channel_url, split_library
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.solve.patience import GivenUp, run_program
from airflow_conda_flow.environments.spec import EnvironmentSpec, constraint
from airflow_conda_flow.errors import ChannelError, ResolverNotFound, SolveError

# Values of ``exception_name`` in conda's JSON that mean an unreadable channel.
_CHANNEL_FAILURES = frozenset(
    ["ChannelDenied", "CondaHTTPError", "CondaSSLError", "ProxyError", "UnavailableInvalidChannel"]
)


class ExecutableSolver:
    """Solver that runs an executable on PATH.

    Args:
        name: the executable's name.

    Raises:
        ResolverNotFound: no such executable is on PATH.
    """

    def __init__(self, name: str) -> None:
        found = shutil.which(name)
        if found is None:
            raise ResolverNotFound(
                f"The dependency resolver {name!r} is not installed: no such program is on PATH. "
                "Install it, or set METAFLOW_CONDA_DEPENDENCY_RESOLVER (the setting resolver) "
                "to rattler, which needs nothing."
            )
        self._name = name
        self._program = found

    def solve(
        self,
        specs: Mapping[str, EnvironmentSpec],
        preferred: Mapping[str, Sequence[LockedPackage]] = MappingProxyType({}),
    ) -> dict[str, Lock]:
        """Locks of all specs, by label; no executable can be told which packages to prefer."""
        del preferred
        return {label: self._solve(label, spec) for label, spec in specs.items()}

    def _solve(self, label: str, spec: EnvironmentSpec) -> Lock:
        stated = {"python": spec.python}
        texts = [_text("python", spec.python)]
        for name, version in spec.libraries.items():
            channel, package = split_library(name)
            stated[package] = version
            prefix = "" if channel is None else f"{channel_url(channel)}::"
            texts.append(_text(f"{prefix}{package}", version))
        answer = self._ask(label, spec, texts)
        records = answer.get("actions", {}).get("FETCH", [])
        packages = tuple(self._package(each, stated) for each in records)
        if not packages:
            raise SolveError(
                f"{self._name} found no packages for the environment of {label}: "
                f"{answer.get('message') or answer.get('error') or 'its answer lists none'}."
            )
        return Lock(spec.id, spec.platform, packages)

    def _ask(self, label: str, spec: EnvironmentSpec, texts: list[str]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="airflow-conda-flow-") as empty:
            # An empty package cache: FETCH in the answer does not list packages that are cached already.
            environ = {
                **os.environ,
                "CONDA_PKGS_DIRS": f"{empty}/pkgs",
                "CONDA_SUBDIR": spec.platform,
                **_overrides(spec),
            }
            channels = [word for each in spec.channels for word in ("-c", channel_url(each))]
            words = ["create", "--dry-run", "--json", "--yes", "--override-channels"]
            words += ["--prefix", f"{empty}/prefix", *channels, *texts]
            what = f"{self._name}, which solves the environment of {label}"
            try:
                done = run_program([self._program, *words], what, environ)
            except GivenUp as error:
                raise SolveError(
                    f"{self._name} ({self._program}) cannot solve the environment of {label}: {error}; "
                    "it was ended. Run it by hand to see why, or set resolver to rattler."
                ) from error
            except OSError as error:
                raise SolveError(
                    f"{self._name} ({self._program}) cannot be started: {error.strerror}. "
                    "Mend it, or set resolver to rattler."
                ) from error
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {"error": done.stderr.strip() or done.stdout.strip()}
        if done.returncode:
            reason = answer.get("message") or answer.get("error") or f"exit code {done.returncode}"
            if answer.get("exception_name") in _CHANNEL_FAILURES:
                raise ChannelError(
                    f"{self._name} cannot solve the environment of {label}, because a channel cannot be "
                    f"read: {reason}. Channels are set by CONDA_CHANNELS, or the setting channels."
                )
            problems = answer.get("solver_problems") or []
            raise SolveError(
                f"{self._name} cannot solve the environment of {label}: "
                + "\n  ".join([str(reason), *map(str, problems)])
            )
        return answer

    def _package(self, record: Mapping[str, Any], stated: Mapping[str, str]) -> LockedPackage:
        for needed in ("sha256", "url"):
            if not record.get(needed):
                raise SolveError(f"{self._name} gives no {needed} for {record.get('fn') or record}.")
        url: str = record["url"]
        return LockedPackage(
            name=record["name"],
            version=record["version"],
            build=record.get("build_string") or record["build"],
            build_number=record["build_number"],
            subdir=record["subdir"],
            url=url,
            sha256=record["sha256"],
            size=record["size"],
            channel=url.rsplit("/", 2)[0],
            depends=tuple(record.get("depends", ())),
            noarch=record.get("noarch") or None,
            python_site_packages_path=record.get("python_site_packages_path"),
            stated=record["name"] in stated,
        )


def _text(name: str, version: str) -> str:
    """Match specification of conda: exact as ever, a range behind a space.

    >>> _text("numpy", "1.26.4"), _text("numpy", ">=1.26,<2"), _text("numpy", "")
    ('numpy==1.26.4', 'numpy >=1.26,<2', 'numpy')
    """
    limit = constraint(version)
    return f"{name}{limit}" if limit.startswith("==") else f"{name} {limit}".rstrip()


def _overrides(spec: EnvironmentSpec) -> dict[str, str]:
    """Environment variables by which conda takes declared virtual packages instead of detected ones.

    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html
    """
    names = {"__glibc": "GLIBC", "__cuda": "CUDA", "__osx": "OSX", "__linux": "LINUX"}
    given = {f"CONDA_OVERRIDE_{names[n]}": v for n, v in spec.virtual_packages.items() if n in names}
    # An empty value means no CUDA: without it conda would detect this machine's driver.
    return {"CONDA_OVERRIDE_CUDA": "", **given}
