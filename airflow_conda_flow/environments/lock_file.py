"""``LockFile``: the file beside a flow that pins the packages of its environments.

It has pixi's format, one environment for each distinct request of the flow's steps, and in addition a section
``airflow-conda-flow`` with what each environment was locked for. Readers of pixi's format ignore the section.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_conda_flow.datastore.atomic_file import new_file_beside, write_all
from airflow_conda_flow.datastore.left_behind import clear_once
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.requested import EnvironmentRequest
from airflow_conda_flow.errors import FlowDefinitionError, SettingError
from airflow_conda_flow.flow.decorators.conda import library_key, pypi_key
from airflow_conda_flow.records.lock_file import lock_file_of

if TYPE_CHECKING:
    from airflow_conda_flow.flow.definition import FlowDefinition

_SECTION = "airflow-conda-flow"
_VERSION = 1  # of the section; a reader refuses a newer one
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class LockedEnvironment:
    """One environment of a lock file.

    Attributes:
        name: the first step that has it, with a number if two have the same one.
        asked: ``EnvironmentRequest.to_dict`` of the request that was locked.
        channels: URLs of the channels that it was solved with.
        virtual_packages: by platform: what it was solved for.
        locks: by platform.
        flows: names of the flows that ask for it, sorted; empty if there is one flow in the file.
    """

    name: str
    asked: Mapping[str, Any]
    channels: tuple[str, ...]
    virtual_packages: Mapping[str, Mapping[str, str]]
    locks: Mapping[str, Lock]
    flows: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        """The step that it is named after."""
        return self.name.partition("-")[0]

    def owners(self, flows: AbstractSet[str]) -> AbstractSet[str]:
        """Flows that may ask for it.

        These are all flows of the file if one that asks for it is unknown: it has another name now, or was
        alone in the file when it was locked.

        Args:
            flows: names of the flows that the flow file has.
        """
        own = set(self.flows)
        return own if own and own <= flows else flows


@dataclass(frozen=True)
class LockFile:
    """A lock file that was read.

    Attributes:
        path: its path.
        environments: in the order of the flow's steps.
        text: its content.
    """

    path: Path
    environments: tuple[LockedEnvironment, ...]
    text: str = field(repr=False)

    def find(self, request: EnvironmentRequest) -> LockedEnvironment | None:
        """Environment that was locked for a request."""
        asked = request.to_dict()
        return next((each for each in self.environments if each.asked == asked), None)

    def flows(self, definition: FlowDefinition) -> set[str]:
        """Names of the flows that share it: those of the flow file, and bases of the flow that it names."""
        locked = {name for each in self.environments for name in each.flows}
        return definition.flows_of_file | (locked & definition.bases_of_file)

    def of_flow(self, definition: FlowDefinition) -> list[LockedEnvironment]:
        """Environments that a flow may ask for."""
        flows = self.flows(definition)
        return [each for each in self.environments if definition.name in each.owners(flows)]

    @property
    def platforms(self) -> list[str]:
        """Platforms of all environments."""
        return sorted({platform for each in self.environments for platform in each.locks})


def read_lock_file(flow_file: str | Path, lock_command: str) -> LockFile | None:
    """Lock file of a flow file; None if it has none.

    Args:
        flow_file: path of the flow file.
        lock_command: the command that writes the lock file, for messages.

    Raises:
        SettingError: a newer version of this package wrote it.
        FlowDefinitionError: it cannot be read, or is not as it was written; names the file and the line.
    """
    path = Path(lock_file_of(str(flow_file)))
    advice = f"Write it anew: {lock_command}"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise FlowDefinitionError(f"The lock file cannot be read: {reason}. {advice}", str(path)) from error
    return _Reader(path, text, advice).read()


def make_lock_file(flow_file: str | Path, environments: Iterable[LockedEnvironment]) -> LockFile:
    """Lock file with these environments, as it will be read; nothing is written yet."""
    from airflow_conda_flow.environments.lock_yaml import yaml_text  # noqa: PLC0415 - PyYAML is heavy
    from airflow_conda_flow.environments.rattler_lock_file import (  # noqa: PLC0415 - heavy
        pixi_document,
        read_pixi_packages,
    )

    given = list(environments)
    document = pixi_document({each.name: (each.channels, each.locks.values()) for each in given})
    # The format does not hold all that a solve tells. What counts is what a reader will find.
    with tempfile.TemporaryDirectory(prefix="airflow-conda-flow-") as folder:
        path = Path(folder, "pixi.lock")
        path.write_text(yaml_text(document), encoding="utf-8")
        packages = read_pixi_packages(path)
    read = tuple(replace(each, locks=_locks(packages[each.name], each.asked)) for each in given)
    section = {
        "version": _VERSION,
        "environments": {
            each.name: {
                **({"flows": list(each.flows)} if each.flows else {}),
                "asked": dict(each.asked),
                "solved-for": {name: dict(found) for name, found in each.virtual_packages.items()},
                "sha256": _checksum(each),
            }
            for each in read
        },
    }
    name = "".join(map(_printable, Path(flow_file).name))
    # The file is in git: it says nothing of how the flow was started this time.
    head = f"# Environments of {name}. Do not edit; its command `environment lock` writes it.\n"
    version = document.pop("version")
    text = head + yaml_text({"version": version, _SECTION: section, **document})
    return LockFile(Path(lock_file_of(str(flow_file))), read, text)


def _printable(character: str) -> str:
    """The character, or an escape for one that is no text or ends a line."""
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def write_lock_file(file: LockFile) -> None:
    """Write the file; it appears whole or not at all.

    Raises:
        SettingError: it cannot be written.
    """
    target = Path(os.path.realpath(file.path))  # a symbolic link stays one
    clear_once(target.parent)
    try:
        with new_file_beside(target) as (temporary, descriptor):
            write_all(descriptor, file.text.encode("utf-8"))
            Path(temporary).replace(target)
    except OSError as error:
        raise SettingError(
            f"The lock file {file.path} cannot be written: {error.strerror}. "
            "It belongs beside the flow file; write it from a checkout of the flow."
        ) from error


class _Reader:
    def __init__(self, path: Path, text: str, advice: str) -> None:
        self._path = path
        self._text = text
        self._advice = advice

    def read(self) -> LockFile:
        if conflict := _CONFLICT.search(self._text):
            line = self._text.count("\n", 0, conflict.start()) + 1
            self._fail("The lock file has conflicts of a merge that nobody resolved.", line)
        content = self._content()
        from airflow_conda_flow.environments.rattler_lock_file import (  # noqa: PLC0415 - heavy
            read_pixi_packages,
        )

        try:
            packages = read_pixi_packages(self._path)
        except FlowDefinitionError as error:
            self._fail(f"The lock file is damaged: {error.message}")
        except Exception as error:  # noqa: BLE001 - py-rattler raises plain exceptions here
            # Its further lines repeat the first one.
            reason = str(error).partition("\n")[0].rstrip(".")
            self._fail(f"The lock file is damaged: {reason}.")
        section = content[_SECTION]["environments"]
        if set(section) != set(packages):
            odd = ", ".join(sorted(set(section) ^ set(packages)))
            self._fail(f"The lock file was changed after it was written: see the environment {odd}.")
        found = tuple(
            self._environment(name, entry, content["environments"][name], packages[name])
            for name, entry in section.items()
        )
        return LockFile(self._path, found, self._text)

    def _content(self) -> dict[str, Any]:
        """The file as plain data, with a section that this version knows."""
        import yaml  # noqa: PLC0415 - only where a flow has a lock file

        from airflow_conda_flow.environments.lock_yaml import load_yaml  # noqa: PLC0415 - as above

        try:
            content = load_yaml(self._text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "it is not valid YAML"
            self._fail(f"The lock file is damaged: {problem}.", mark.line + 1 if mark else None)
        section = content.get(_SECTION) if isinstance(content, dict) else None
        version = section.get("version") if isinstance(section, dict) else None
        if isinstance(version, int) and version > _VERSION:
            raise SettingError(
                f"The lock file {self._path} has version {version}, and this airflow-conda-flow knows "
                f"versions up to {_VERSION}. Upgrade airflow-conda-flow."
            )
        if section is None or version != _VERSION or not isinstance(section.get("environments"), dict):
            self._fail(f"It is not the lock file of a flow: it has no section {_SECTION}.")
        return dict(content)

    def _environment(
        self, name: str, entry: Any, pixi: Any, packages: Mapping[str, tuple[LockedPackage, ...]]
    ) -> LockedEnvironment:
        changed = f"The lock file was changed after it was written: see the environment {name}."
        try:
            asked, solved_for = dict(entry["asked"]), dict(entry["solved-for"])
            channels = tuple(each["url"] for each in pixi["channels"])
            flows = tuple(map(str, entry.get("flows", ())))
            found = LockedEnvironment(name, asked, channels, solved_for, _locks(packages, asked), flows)
            if entry["sha256"] != _checksum(found):
                self._fail(changed)
        except (KeyError, TypeError, AttributeError):
            self._fail(changed)
        return found

    def _fail(self, message: str, line: int | None = None) -> NoReturn:
        raise FlowDefinitionError(f"{message} {self._advice}", str(self._path), line) from None


def _locks(packages: Mapping[str, Iterable[LockedPackage]], asked: Mapping[str, Any]) -> dict[str, Lock]:
    """Locks by platform, whose packages are marked as stated if they were asked for."""
    conda = {"python", *(library_key(name) for name in asked.get("libraries", ()))}
    pypi = {pypi_key(name) for name in asked.get("pypi", ())}

    def is_stated(package: LockedPackage) -> bool:
        return "list" in asked or package.name in (conda if package.kind == "conda" else pypi)

    return {
        platform: Lock.of_packages(platform, (replace(each, stated=is_stated(each)) for each in found))
        for platform, found in sorted(packages.items())
    }


def _checksum(environment: LockedEnvironment) -> str:
    """Digest of all that was locked: a file that was edited or merged has another one."""
    content = {
        "asked": environment.asked,
        "solved-for": environment.virtual_packages,
        "packages": {
            platform: [asdict(each) for each in lock.packages] for platform, lock in environment.locks.items()
        },
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
