"""Solves with py-rattler, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import rattler
from rattler.exceptions import (
    FetchRepoDataError,
    GatewayError,
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidVersionError,
    InvalidVersionSpecError,
    SolverError,
)

from airflow_conda_flow.environments.channels import channel_url, split_library
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.rattler_loop import run
from airflow_conda_flow.environments.rattler_record import rattler_record
from airflow_conda_flow.environments.solve.conflict import conflict_statements
from airflow_conda_flow.environments.solve.executable_answer import ChosenPackage, shortened
from airflow_conda_flow.environments.solve.patience import GivenUp, patiently
from airflow_conda_flow.environments.solve.placed import placed
from airflow_conda_flow.environments.solve.rattler_gateway import (
    channel_of,
    doubt_shards,
    forget_doubtful_shards,
    forget_indexes,
    give_back_memory,
    has_own_urls,
    make_client,
    open_gateway,
)
from airflow_conda_flow.environments.spec import EnvironmentSpec, constraint, is_exact
from airflow_conda_flow.environments.virtual_packages import split_virtual_version
from airflow_conda_flow.errors import ChannelError, SolveError

_UNREADABLE = (GatewayError, FetchRepoDataError, OSError)  # a channel cannot be read
_BAD_WORDS = (InvalidPackageNameError, InvalidVersionError, InvalidVersionSpecError, InvalidMatchSpecError)
_CHANNEL_ADVICE = (
    "Is the address right, may you read it, and can this machine reach it? "
    "Channels are set by CONDA_CHANNELS, or the setting channels."
)
_MOST_VERSIONS = 6  # in a message: enough to see the neighbours of a wrong version, and still one line


_MakeSolve = Callable[[rattler.Gateway, str], "_Solve"]


class RattlerSolver:
    """Solver that uses py-rattler; solves specs concurrently and fetches a channel's repodata once.

    Shards are tried first. A spec that they do not solve is solved with ``repodata.json``, which every
    channel has: shards may be broken, forbidden or incomplete, so that they cannot prove that a version is
    missing.

    Args:
        cache_dir: directory for repodata.
        credentials: of private channels.
    """

    def __init__(self, cache_dir: Path, credentials: Credentials) -> None:
        self._cache_dir = cache_dir
        self._credentials = credentials

    def solve(
        self,
        specs: Mapping[str, EnvironmentSpec],
        preferred: Mapping[str, Sequence[LockedPackage]] = MappingProxyType({}),
    ) -> dict[str, Lock]:
        """Locks of all specs, by label."""
        return self._run(
            specs,
            lambda gateway, each: _Solve(
                gateway, self._cache_dir, each, specs[each], preferred.get(each, ())
            ),
        )

    def lock_chosen(
        self,
        specs: Mapping[str, EnvironmentSpec],
        chosen: Mapping[str, Sequence[ChosenPackage]],
        program: str,
    ) -> dict[str, Lock]:
        """Locks of packages that an executable has chosen, by label; their records are the channels'.

        A package that neither the spec nor another package asks for is left out.

        Args:
            specs: by label.
            chosen: the packages by label.
            program: name of the executable, for messages.

        Raises:
            SolveError: the packages do not satisfy a spec with the virtual packages that it declares.
            ChannelError: a channel cannot be read.
        """
        return self._run(
            specs,
            lambda gateway, each: _ChosenSolve(
                gateway, self._cache_dir, each, specs[each], chosen[each], program
            ),
        )

    def lacks(self, specs: Mapping[str, EnvironmentSpec], name: str) -> bool:
        """Whether no channel of the specs has a package of that name; False if that cannot be found out."""
        gateway = self._gateway(specs, sharded=False)
        solves = [_Solve(gateway, self._cache_dir, label, spec) for label, spec in specs.items()]

        async def known() -> list[list[str]]:
            return await asyncio.gather(*(each.known_versions(name) for each in solves))

        return not any(run(patiently(known(), f"the channels of {', '.join(specs)}", self._cache_dir)))

    def _run(self, specs: Mapping[str, EnvironmentSpec], make: _MakeSolve) -> dict[str, Lock]:
        urls = {channel_url(each) for spec in specs.values() for each in spec.channels}
        channels = " or ".join(sorted(urls))
        what = f"the channel {channels}, to solve the environment of {', '.join(specs)}"
        try:
            return run(patiently(self._solve_all(specs, make), what, self._cache_dir))
        except GivenUp as error:
            raise ChannelError(
                f"The environment of {', '.join(specs)} cannot be solved, because the channel {channels} "
                f"does not answer: {error}. {_CHANNEL_ADVICE}"
            ) from error
        finally:
            give_back_memory()

    async def _solve_all(self, specs: Mapping[str, EnvironmentSpec], make: _MakeSolve) -> dict[str, Lock]:
        locks = await self._solve_with_shards(specs, make)
        left = {label: spec for label, spec in specs.items() if label not in locks}
        if left:
            gateway = self._gateway(left, sharded=False)
            solves = [_lock(make(gateway, label), spec) for label, spec in left.items()]
            locks.update(zip(left, await asyncio.gather(*solves), strict=True))
        return {label: locks[label] for label in specs}

    async def _solve_with_shards(
        self, specs: Mapping[str, EnvironmentSpec], make: _MakeSolve
    ) -> dict[str, Lock]:
        """Locks of the specs that shards solve, by label."""
        remote = {label: spec for label, spec in specs.items() if _is_remote(spec)}
        if not remote:
            return {}
        forget_indexes(self._cache_dir)
        forget_doubtful_shards(self._cache_dir)
        gateway = self._gateway(remote, sharded=True)
        solves = [make(gateway, label) for label in remote]
        found = await asyncio.gather(*(each.lock_of_shards() for each in solves))
        if any(each.is_unreadable for each in solves):
            doubt_shards(self._cache_dir)
        return {label: lock for label, lock in zip(remote, found, strict=True) if lock is not None}

    def _gateway(self, specs: Mapping[str, EnvironmentSpec], *, sharded: bool) -> rattler.Gateway:
        """Gateway for all specs, so that they share the repodata."""
        channels = {channel_url(each) for spec in specs.values() for each in _channel_names(spec)}
        platforms = [spec.platform for spec in specs.values()]
        client = make_client(channels, platforms, self._credentials)
        return open_gateway(self._cache_dir, client, sharded=sharded)


async def _lock(solve: _Solve, spec: EnvironmentSpec) -> Lock:
    with placed(spec):
        return await solve.lock()


def _channel_names(spec: EnvironmentSpec) -> list[str]:
    own = (split_library(name)[0] for name in spec.libraries)
    return [*spec.channels, *(channel for channel in own if channel is not None)]


def _is_remote(spec: EnvironmentSpec) -> bool:
    """Whether a channel may have shards: rattler reads only ``repodata.json`` of a directory."""
    return any(not channel_url(each).startswith("file:") for each in _channel_names(spec))


class _Solve:
    """The solve of one spec.

    Attributes:
        is_unreadable: whether a channel could not be read with shards.
    """

    def __init__(
        self,
        gateway: rattler.Gateway,
        cache_dir: Path,
        label: str,
        spec: EnvironmentSpec,
        preferred: Sequence[LockedPackage] = (),
    ) -> None:
        self.is_unreadable = False
        self._preferred = [each for each in preferred if each.kind == "conda"]
        self._gateway = gateway
        self._conflicts = cache_dir / "conflicts"
        self._label = label
        self._spec = spec
        self._versions = {"python": spec.python}
        own_channels = []
        for name, version in spec.libraries.items():
            channel, package = split_library(name)
            self._versions[package] = version
            if channel is not None:
                own_channels.append((package, channel))
        self._own_channel = dict(own_channels)
        urls = [channel_url(each) for each in (*spec.channels, *self._own_channel.values())]
        self._channels = [channel_of(url) for url in dict.fromkeys(urls)]
        self._platforms: list[Any] = [spec.platform, "noarch"]

    async def lock(self) -> Lock:
        """The lock.

        Raises:
            SolveError: the spec cannot be satisfied.
            ChannelError: a channel cannot be read.
        """
        self._check_words()
        try:
            records = await self._records()
        except SolverError as error:
            await self._explain(error)
        except _UNREADABLE as error:
            self._blame_channel(error)
        return self._lock(records)

    async def lock_of_shards(self) -> Lock | None:
        """The lock; None if the spec has to be solved with ``repodata.json``.

        Raises:
            SolveError: a name or version in the spec is none.
        """
        self._check_words()
        try:
            records = await self._records()
        except SolverError:
            return None
        except _UNREADABLE:
            self.is_unreadable = True
            return None
        usable = all(has_own_urls(record) and record.sha256 is not None for record in records)
        return self._lock(records) if usable else None

    async def _records(self) -> list[rattler.RepoDataRecord]:
        return await rattler.solve(
            self._channels,
            [self._match(name, version) for name, version in self._versions.items()],
            gateway=self._gateway,
            platforms=self._platforms,
            locked_packages=[rattler_record(each, each.url) for each in self._preferred],
            virtual_packages=_virtual_packages(self._spec.virtual_packages),
            constraints=self._constraints(),
        )

    def _constraints(self) -> list[rattler.MatchSpec]:
        """Limits of packages that the spec does not ask for."""
        return []

    def _lock(self, records: list[rattler.RepoDataRecord]) -> Lock:
        packages = tuple(self._package(record) for record in records)
        return Lock(self._spec.id, self._spec.platform, packages)

    def _check_words(self) -> None:
        for name, version in self._versions.items():
            try:
                rattler.PackageName(name)
                if is_exact(version):
                    rattler.Version(version)
                else:
                    rattler.VersionSpec(_limit(version) or "*")
                self._match(name, version)
            except _BAD_WORDS as error:
                raise SolveError(
                    f"The environment of {self._label} cannot be solved: {name!r} {version!r} is not a "
                    f"package and its version ({error}). Write such as 'numpy': '1.26.4'."
                ) from error

    def _match(self, name: str, version: str) -> rattler.MatchSpec:
        channel = self._own_channel.get(name)
        prefix = "" if channel is None else f"{channel_url(channel)}::"
        return rattler.MatchSpec(f"{prefix}{name} {_limit(version)}".rstrip())

    def _package(self, record: rattler.RepoDataRecord) -> LockedPackage:
        if record.sha256 is None:
            raise ChannelError(
                f"The channel {record.channel} gives no sha256 for {record.file_name}; "
                "its packages cannot be verified. Index it again, or use another channel."
            )
        noarch = record.noarch
        kind = "python" if noarch.python else "generic" if noarch.generic else None
        return LockedPackage(
            name=record.name.normalized,
            version=str(record.version),
            build=str(record.build),
            build_number=record.build_number,
            subdir=str(record.subdir),
            url=record.url,
            sha256=record.sha256.hex(),
            size=record.size or 0,
            channel=(record.channel or "").rstrip("/"),
            depends=tuple(record.depends),
            noarch=kind,
            python_site_packages_path=record.python_site_packages_path,
            stated=record.name.normalized in self._versions,
        )

    async def _explain(self, error: SolverError) -> NoReturn:
        """Raise a ``SolveError`` that names the libraries in conflict, or the versions that exist."""
        for name, version in self._versions.items():
            known = await self.known_versions(name)
            if not known:
                raise SolveError(await self._unknown(name, version)) from error
            allowed = rattler.VersionSpec(_limit(version) or "*")
            if not any(allowed.matches(rattler.Version(each)) for each in known):
                raise SolveError(
                    f"The environment of {self._label} cannot be solved: "
                    f"{self._lacks(name, f'{name} {version}')}. There is: "
                    f"{', '.join(_nearest_versions(version, known))}."
                ) from error
        statements, rest = self._conflict(error)
        named = set(re.findall(r"[\w.-]+", statements))
        at_odds = [name for name in self._versions if name in named] or list(self._versions)
        stated = " and ".join(f"{name} {self._versions[name]}".rstrip() for name in at_odds)
        trouble = "do not go together" if len(at_odds) > 1 else "cannot be installed"
        raise SolveError(
            f"The environment of {self._label} cannot be solved: {stated} {trouble}: {statements}. "
            f"Change one of these versions.{rest}"
        ) from error

    def _conflict(self, error: SolverError) -> tuple[str, str]:
        """The statements that cannot hold together, and a sentence about the file with all of them.

        The sentence is empty if there is no more to say, or if the file cannot be written.
        """
        tree = str(error).removeprefix("Cannot solve the request because of: ").strip()
        statements = conflict_statements(tree, self._versions, self._spec.virtual_packages)
        said = "; ".join(statements) or shortened(tree)
        if tree.count("\n") < len(statements) + 1:
            return said, ""
        path = self._conflicts / f"{self._spec.id[:16]}.txt"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{tree}\n", encoding="utf-8")
            return said, f" All that the solver found is in {path}."
        return said, ""

    def _channels_of(self, name: str) -> list[rattler.Channel]:
        own = self._own_channel.get(name)
        return self._channels if own is None else [channel_of(channel_url(own))]

    async def known_versions(self, name: str) -> list[str]:
        """Versions of a package in the spec's channels, lowest first."""
        versions = {str(record.version) for record in await self._records_of(name)}
        return sorted(versions, key=rattler.Version)

    async def _records_of(self, name: str) -> list[rattler.RepoDataRecord]:
        found = await self._gateway.query(self._channels_of(name), self._platforms, [name], recursive=False)
        return [record for records in found for record in records]

    async def _unknown(self, name: str, version: str) -> str:
        names = await self._gateway.names(self._channels_of(name), self._platforms)
        near = difflib.get_close_matches(name, [each.normalized for each in names], n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return (
            f"The environment of {self._label} cannot be solved: "
            f"{self._lacks(name, f'package {name!r}')} (asked for: {version or 'any'}).{hint}"
        )

    def _blame_channel(self, error: Exception) -> NoReturn:
        text = str(error)
        urls = [_url(channel) for channel in self._channels]
        blamed = [url for url in urls if url in text] or urls
        reason = text.strip().splitlines() or [repr(error)]
        raise ChannelError(
            f"The environment of {self._label} cannot be solved, because the channel "
            f"{' or '.join(blamed)} cannot be read: "
            f"{reason[0]}{f' ({reason[-1]})' if len(reason) > 1 else ''}. "
            f"{_CHANNEL_ADVICE}"
        ) from error

    def _lacks(self, name: str, what: str) -> str:
        urls = [_url(channel) for channel in self._channels_of(name)]
        if len(urls) == 1:
            return f"the channel {urls[0]} has no {what} for {self._spec.platform}"
        return f"none of the channels {', '.join(urls)} has {what} for {self._spec.platform}"


class _ChosenSolve(_Solve):
    """The solve of a spec that only packages may satisfy that an executable has chosen."""

    def __init__(
        self,
        gateway: rattler.Gateway,
        cache_dir: Path,
        label: str,
        spec: EnvironmentSpec,
        chosen: Sequence[ChosenPackage],
        program: str,
    ) -> None:
        super().__init__(gateway, cache_dir, label, spec)
        self._chosen = {each.name: each for each in chosen}
        self._program = program

    def _check_words(self) -> None:
        super()._check_words()
        for each in self._chosen.values():
            try:
                rattler.PackageName(each.name)
                rattler.MatchSpec(_exactly(each))
            except _BAD_WORDS as error:
                raise self._refused(f"{' '.join(each)!r} is not a package with version and build") from error

    def _constraints(self) -> list[rattler.MatchSpec]:
        return [rattler.MatchSpec(_exactly(each)) for each in self._chosen.values()]

    def _lock(self, records: list[rattler.RepoDataRecord]) -> Lock:
        for record in records:
            each = self._chosen.get(record.name.normalized)
            if each is None:
                raise self._refused(
                    f"it did not choose {record.name.normalized}, which the environment needs"
                )
            if str(record.build) != each.build:  # the answer has a pattern
                raise self._refused(f"it chose {' '.join(each)}, which no channel has")
        return super()._lock(records)

    async def _explain(self, error: SolverError) -> NoReturn:
        """Raise a ``SolveError`` that names a chosen package that there is not, or those in conflict."""
        for each in self._chosen.values():
            exact = rattler.MatchSpec(_exactly(each))
            if not any(exact.matches(record) for record in await self._records_of(each.name)):
                raise self._refused(
                    f"it chose {' '.join(each)}, and {self._lacks(each.name, 'it')}"
                ) from error
            if first := await self._passed_over(each, exact):
                raise self._refused(
                    f"it chose {' '.join(each)}, but {each.name} is taken from the channel {first}, which "
                    "comes first and has another one"
                ) from error
        statements, rest = self._conflict(error)
        raise self._refused(f"what it chose does not go together: {statements}", rest) from error

    async def _passed_over(self, package: ChosenPackage, exact: rattler.MatchSpec) -> str | None:
        """URL of the first channel that has a package of that name, if it is not the one that was chosen."""
        channels_of: dict[str, list[rattler.RepoDataRecord]] = {}
        for record in await self._records_of(package.name):
            channels_of.setdefault((record.channel or "").rstrip("/"), []).append(record)
        first = next(url for url in map(_url, self._channels_of(package.name)) if url in channels_of)
        return None if any(map(exact.matches, channels_of[first])) else first

    def _refused(self, reason: str, rest: str = "") -> SolveError:
        return SolveError(
            f"The environment of {self._label} cannot be made of the answer of {self._program}: {reason}. "
            f"Run it again if the channel has just changed, or set resolver to rattler.{rest}"
        )


def _exactly(package: ChosenPackage) -> str:
    return f"{package.name} =={package.version} {package.build}"


def _limit(version: str) -> str:
    """The version as rattler reads it, which takes ``==1.*`` for ``==1``.

    >>> _limit("==1.*"), _limit(">=1,!=1.2.*"), _limit("1.26.4")
    ('1.*', '>=1,!=1.2.*', '==1.26.4')
    """
    return re.sub(r"(?<![<>=!~])==([^,|]*\*)", r"\1", constraint(version))


def _url(channel: rattler.Channel) -> str:
    return channel.base_url.rstrip("/")


def _nearest_versions(version: str, known: list[str]) -> list[str]:
    """Known versions around the requested one, at most six."""
    if len(known) <= _MOST_VERSIONS:
        return known
    found = re.search(r"\d[\w.]*", version)
    asked = rattler.Version(found.group().rstrip(".") if found else "0")
    below = sum(1 for each in known if rattler.Version(each) < asked)
    start = min(max(0, below - _MOST_VERSIONS // 2), len(known) - _MOST_VERSIONS)
    return known[start : start + _MOST_VERSIONS]


def _virtual_packages(versions: Mapping[str, str]) -> list[rattler.GenericVirtualPackage]:
    declared = [(name, *split_virtual_version(version)) for name, version in versions.items()]
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
        )
        for name, version, build in declared
    ]
