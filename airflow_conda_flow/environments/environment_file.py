"""Reads files that describe an environment: ``environment.yml``, explicit spec files, ``pixi.lock``.

An ``environment.yml`` is solved like a decorator's libraries, so every version in it must be exact, unless
the flow has a lock file. The other two are complete lists of packages by URL, which are not solved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from airflow_conda_flow.environments.spec import PinnedUrl
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.parameters.bounded import OutOfBounds, within_bounds

_DEPENDENCY = re.compile(
    r"^(?P<name>([\w.:/+-]+::)?[\w][\w.-]*?)\s*(==?|\s)\s*(?P<version>\d[\w.!+]*)(?P<build>\s*=\s*\S+)?$"
)
_RANGE = re.compile(
    r"^(?P<name>([\w.:/+-]+::)?[\w][\w.-]*?)\s*(?P<range>([<>=!~\s][\s\w.!+*<>=~,|]*)?)$", re.ASCII
)
_PYTHON_FILE = re.compile(r"^python-(\d+\.\d+\.\d+[a-z0-9]*)-[^-]+\.(conda|tar\.bz2)$")
_HASH = re.compile(r"^(?:sha256:)?([0-9a-f]{64})$|^(?:md5:)?([0-9a-f]{32})$")


@dataclass(frozen=True)
class EnvironmentFile:
    """Contents of a file that describes an environment.

    Attributes:
        python: version of Python; empty if an ``environment.yml`` names none.
        libraries: versions by name.
        channels: in order of preference; empty if the file names none.
        pypi: versions of PyPI packages by name.
        pinned: all packages, if the file is a complete list; else empty.
    """

    python: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    pypi: dict[str, str] = field(default_factory=dict)
    pinned: tuple[PinnedUrl, ...] = ()


def read_environment_file(
    path: str | Path, platform: str, lock_command: str | None = None
) -> EnvironmentFile:
    """Contents of a file that describes an environment for a platform.

    Args:
        path: the file.
        platform: conda platform.
        lock_command: the command that writes the flow's lock file, if ranges are refused because it has none;
            None allows ranges.

    A file with the line ``@EXPLICIT`` is an explicit spec file, any other whose name ends in ``.lock`` a
    ``pixi.lock``, and any other an ``environment.yml``.

    Raises:
        FlowDefinitionError: the file cannot be read, or says something that is not supported. The error names
            the file and, where it is known, the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin files with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise FlowDefinitionError(f"The file cannot be read: {error}.", str(path)) from error
    if re.search(r"^@EXPLICIT\s*$", text, re.MULTILINE):
        return _Explicit(path, text, platform).read()
    if path.name.endswith(".lock"):
        from airflow_conda_flow.environments.rattler_lock_file import (  # noqa: PLC0415 - heavy
            read_pixi_lock,
        )

        pinned = read_pixi_lock(path, platform)
        return EnvironmentFile(python=_python_of(path, pinned), pinned=pinned)
    return _EnvironmentYml(path, text, lock_command).read()


class _EnvironmentYml:
    """Reader of an ``environment.yml``.

    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
    """

    def __init__(self, path: Path, text: str, lock_command: str | None) -> None:
        self._path = path
        self._text = text
        self._lock_command = lock_command

    def read(self) -> EnvironmentFile:
        import yaml  # noqa: PLC0415 - only where a flow names such a file

        try:
            content = within_bounds(yaml.safe_load(self._text))
        except RecursionError:
            raise FlowDefinitionError("It is nested too deeply.", str(self._path)) from None
        except OutOfBounds as error:
            raise FlowDefinitionError(f"It is {error}.", str(self._path)) from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else None
            raise FlowDefinitionError(
                f"It is not valid YAML: {getattr(error, 'problem', error)}.", str(self._path), line
            ) from error
        if not isinstance(content, dict) or not isinstance(content.get("dependencies"), list):
            self._fail(
                "It is not an environment.yml, an explicit spec file or a pixi.lock: an environment.yml has "
                "a list of dependencies, an explicit spec file the line @EXPLICIT, and a pixi.lock ends "
                "in .lock.",
                "",
            )
        libraries: dict[str, str] = {}
        pypi: dict[str, str] = {}
        for each in content["dependencies"]:
            if isinstance(each, dict):
                for requirement in self._texts(each.get("pip"), "pip"):
                    pypi.update(self._requirement(requirement))
            else:
                libraries.update(self._dependency(each))
        channels = tuple(
            each for each in self._texts(content.get("channels"), "channels") if each != "nodefaults"
        )
        python = libraries.pop("python", "")
        libraries.pop("pip", None)  # conda needs it for the section pip; we install wheels without pip
        return EnvironmentFile(python=python, libraries=libraries, channels=channels, pypi=pypi)

    def _texts(self, found: Any, key: str) -> list[str]:
        """Texts of a list; none if it is left out."""
        texts = [] if found is None else found
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            self._fail(f"{key} is {found!r}; write a list of texts.", f"{key}:")
        return texts

    def _dependency(self, text: Any) -> dict[str, str]:
        if not isinstance(text, str):
            self._fail(f"{text!r} is not a dependency. Write, for example, numpy >=1.2,<2.", f"- {text}")
        if text == "pip":
            return {"pip": ""}
        match = _DEPENDENCY.match(text.strip())
        if match is None:
            return self._range(text)
        if match["build"]:
            self._fail(
                f"{text!r} pins a build, which is another one on every platform. Leave it out, or name an "
                "explicit spec file.",
                text,
            )
        if match["name"].lower() == "python" and match["version"].count(".") != 2:  # noqa: PLR2004 - x.y.z
            self._check_range(text, "python=3.11.7, with all three numbers")
        return {_lower(match["name"]): match["version"]}

    def _range(self, text: str) -> dict[str, str]:
        name = re.split(r"[<>=!~\s\[]", text.strip(), maxsplit=1)[0]
        self._check_range(text, f"{name}=VERSION")
        match = _RANGE.match(text.strip())
        if match is None:
            self._fail(f"{text!r} is not a dependency. Write, for example, {name or 'numpy'} >=1.2,<2.", text)
        if re.search(r"[\w*]\s+[\w*]", match["range"].strip()):
            self._fail(f"{text!r} pins a build, which is another one on every platform. Leave it out.", text)
        version = "".join(match["range"].split())
        # conda's fuzzy operator: =1.2 means 1.2 and all versions that begin with it
        return {_lower(match["name"]): version[1:] if re.match("=[^=]", version) else version}

    def _check_range(self, text: str, exact: str) -> None:
        """Raise unless ranges are allowed."""
        if self._lock_command is not None:
            self._fail(
                f"{text!r} is not pinned to exactly one version. Write {exact}, or keep the range and pin "
                f"it in a lock file: {self._lock_command}",
                text,
            )

    def _requirement(self, text: str) -> dict[str, str]:
        from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - see above

        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            self._fail(f"{text!r} is not a requirement. Write name==1.2.3.", text)
        if requirement.url or requirement.marker:
            kind = "a URL" if requirement.url else "an environment marker"
            self._fail(f"{text!r} has {kind}. Write {requirement.name}==1.2.3, or leave it out.", text)
        specifier = next(iter(requirement.specifier), None)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        if (
            specifier is None
            or len(requirement.specifier) > 1
            or specifier.operator != "=="
            or "*" in specifier.version
        ):
            self._check_range(text, f"{requirement.name}==VERSION")
            return {requirement.name + extras: str(requirement.specifier)}
        return {requirement.name + extras: specifier.version}

    def _fail(self, message: str, text: str) -> NoReturn:
        lines = self._text.splitlines()
        line = next((n for n, each in enumerate(lines, 1) if text and text in each), None)
        raise FlowDefinitionError(message, str(self._path), line)


def _lower(name: str) -> str:
    return name if "::" in name else name.lower()


class _Explicit:
    """Reader of an explicit spec file.

    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
    """

    def __init__(self, path: Path, text: str, platform: str) -> None:
        self._path = path
        self._text = text
        self._platform = platform

    def read(self) -> EnvironmentFile:
        pinned = []
        for number, raw in enumerate(self._text.splitlines(), 1):
            line = raw.strip()
            if line and not line.startswith(("#", "@")):
                pinned.append(self._package(line, number))
        return EnvironmentFile(python=_python_of(self._path, tuple(pinned)), pinned=tuple(pinned))

    def _package(self, line: str, number: int) -> PinnedUrl:
        given, separator, anchor = line.partition("#")
        url = PinnedUrl.of(given).url  # messages hold no credentials
        line = f"{url}{separator}{anchor}"
        if "://" not in url or not url.endswith((".conda", ".tar.bz2")):
            raise FlowDefinitionError(
                f"{line!r} is not the URL of a conda package. Write https://.../linux-64/name-1.2-0.conda#sha256.",
                str(self._path),
                number,
            )
        subdir = url.rsplit("/", 2)[-2]
        if subdir not in {"noarch", self._platform}:
            raise FlowDefinitionError(
                f"{url} is for {subdir}, and the step runs on {self._platform}. "
                "Name a file for that platform.",
                str(self._path),
                number,
            )
        match = _HASH.match(anchor)
        if match is None:
            raise FlowDefinitionError(
                f"{line!r} has no hash, so the package cannot be verified. "
                "Write #sha256:... or #md5 after it "
                "(conda list --explicit --sha256).",
                str(self._path),
                number,
            )
        return PinnedUrl.of(given, match[1] or "", match[2] or "")


def _python_of(path: Path, pinned: tuple[PinnedUrl, ...]) -> str:
    for each in pinned:
        match = _PYTHON_FILE.match(each.url.rsplit("/", 1)[-1])
        if match:
            return match[1]
    raise FlowDefinitionError("It lists no Python, and a step needs one.", str(path))
