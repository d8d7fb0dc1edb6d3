"""``Solver``: the protocol of all solvers, and the function that makes the one that a setting names."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_conda_flow.environments.credentials import Credentials
    from airflow_conda_flow.environments.lock import Lock, LockedPackage
    from airflow_conda_flow.environments.spec import EnvironmentSpec


class Solver(Protocol):
    """Solver of specs."""

    def solve(
        self,
        specs: Mapping[str, EnvironmentSpec],
        preferred: Mapping[str, Sequence[LockedPackage]] = MappingProxyType({}),
    ) -> dict[str, Lock]:
        """Locks of all specs, by the label by which messages name them.

        Args:
            specs: by label.
            preferred: by label: packages to keep where the spec allows it, as far as the solver can.

        Raises:
            SolveError: a spec cannot be satisfied.
            ChannelError: a channel cannot be read.
        """


def make_solver(
    resolver: str, cache_dir: Path, credentials: Credentials, seconds: float | None = None
) -> Solver:
    """Solver of that name: ``rattler``, or an executable on PATH.

    Args:
        resolver: the name.
        cache_dir: directory of the cache.
        credentials: of private channels.
        seconds: how long one solve of an executable may take; if None, half an hour.

    Raises:
        ResolverNotFound: no executable of that name is on PATH.
    """
    if resolver == "rattler":
        from airflow_conda_flow.environments.solve.rattler import (  # noqa: PLC0415 - heavy
            RattlerSolver,
        )

        return RattlerSolver(cache_dir / "repodata", credentials)
    from airflow_conda_flow.environments.solve.executable import (  # noqa: PLC0415 - seldom used
        ExecutableSolver,
    )

    return ExecutableSolver(resolver, cache_dir / "repodata", credentials, seconds)
