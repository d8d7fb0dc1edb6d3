"""The settings of a process: where each comes from, read and checked.

The first of these sources that has a setting counts:

1. the command line, or the caller (``overrides``);
2. the environment variable ``CONDA_FLOW_<NAME>``, else the variables in the option's ``aliases``, in order;
3. the keys in ``aliases`` in Metaflow's configuration file (``config.json`` or ``config_<profile>.json`` in
   ``~/.metaflowconfig`` or ``METAFLOW_HOME``);
4. under Airflow, the option of that name in the section ``[conda_flow]`` (``fallbacks``);
5. the default.

An empty text counts as not set, except on the command line. The table of places names further options.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.places import places
from airflow_conda_flow.settings.foreach import FOREACH_OPTIONS
from airflow_conda_flow.settings.general import GENERAL_OPTIONS, HOME
from airflow_conda_flow.settings.option import FoundText, Option
from airflow_conda_flow.settings.remote import REMOTE_OPTIONS
from airflow_conda_flow.settings.variables import NO_SETTINGS

_LONGEST_PATH, _LONGEST_PART = 3000, 255  # bytes; Linux has 4096 for a path, and ours continue below it
_MICROARCHITECTURE = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"\d+(\.\d+)*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# Of variables that are named after parameters, and of tests' own.
_PREFIXES = ("CONDA_FLOW_RUN_", "CONDA_FLOW_TEST_")
# Metaflow has a root for each kind of datastore and we have one for all: the kind decides which alias counts.
_LOCAL_ROOT_ALIAS = "METAFLOW_DATASTORE_SYSROOT_LOCAL"
_S3_ROOT_ALIAS = "METAFLOW_DATASTORE_SYSROOT_S3"


@dataclass(frozen=True)
class Settings:
    """Checked settings.

    Attributes:
        datastore: kind of datastore, ``local`` or ``s3``.
        datastore_root: absolute directory, or ``s3://bucket[/prefix]`` without a slash at the end.
        datatools_root: ``s3://bucket[/prefix]`` that steps store objects in with ``S3(run=...)``; None if the
            datastore is local and the setting is empty.
        cache_dir: absolute directory.
        channels: conda channels in order of priority, never empty.
        package_suffixes: endings of additional files in the code package.
        package_modules: names of modules elsewhere that the code package has too.
        resolver: ``rattler``, ``conda``, ``mamba`` or ``micromamba``.
        resolver_seconds: how long an executable may take for one solve.
        archspec: microarchitecture that environments are solved for; the empty string if none is assumed.
        glibc: version of glibc that Linux environments are solved for.
        cuda: version of CUDA that environments are solved for; the empty string if none is assumed.
        osx: version of macOS that environments are solved for.
        remote_platform: conda platform of steps in pods and jobs.
        channel_conn_id: ids of Airflow connections, separated by commas, or the empty string.
        aws_conn_id: id of an Airflow connection, or the empty string.
        step_credentials: whether steps get the credentials of their runner; True if the datastore is local.
        texts: every option by name, unconverted; options of a compute are converted where they are used.
    """

    datastore: str
    datastore_root: str
    cache_dir: Path
    channels: tuple[str, ...]
    package_suffixes: tuple[str, ...]
    package_modules: tuple[str, ...]
    resolver: str
    glibc: str
    cuda: str
    osx: str
    remote_platform: str
    datatools_root: str | None = None
    resolver_seconds: int = 1800
    archspec: str = ""
    channel_conn_id: str = ""
    aws_conn_id: str = ""
    step_credentials: bool = False
    texts: Mapping[str, FoundText] = field(default_factory=dict)

    def given(self) -> dict[str, str]:
        """Texts that differ from the defaults, for another process of the same deployment.

        Without ``cache_dir``, which depends on the machine.
        """
        known = {option.name: option.default for option in options()}
        return {
            name: found.text
            for name, found in self.texts.items()
            if found.text != known.get(name) and name != "cache_dir"
        }


def options() -> tuple[Option, ...]:
    """Every setting: the general ones, and those of each place where steps can run."""
    own = [place.load("options") for place in places() if place.options is not None]
    return (*GENERAL_OPTIONS, *FOREACH_OPTIONS, *REMOTE_OPTIONS, *(option for each in own for option in each))


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that begin as ours do and are none, each with the nearest of ours or ""."""
    known = [option.environment_variable for option in options()] + list(NO_SETTINGS)
    found = {}
    for name in sorted(environ):
        if name.startswith("CONDA_FLOW_") and name not in known and not name.startswith(_PREFIXES):
            found[name] = next(iter(difflib.get_close_matches(name.upper(), known, n=1)), "")
    return found


def load_settings(
    overrides: Mapping[str, str | None] | None = None,
    fallbacks: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings in force in this process.

    Args:
        overrides: texts by option name that precede all other sources; a value of None is ignored.
        fallbacks: texts by option name that precede the defaults only (Airflow's configuration).
        environ: environment variables; those of this process if None.

    Raises:
        SettingError: a value is not allowed, an S3 datastore has no root, or Metaflow's configuration file
            cannot be read.
    """
    lookup = _Lookup(
        overrides or {},
        fallbacks or {},
        os.environ if environ is None else environ,
    )
    datastore, _ = lookup.find("datastore")
    channels_text, channels_source = lookup.find("channels")
    channels = tuple(part.strip() for part in channels_text.split(",") if part.strip())
    if not channels:
        raise SettingError(
            f"{channels_source} names no channel: {channels_text!r}. "
            "Write one or more, such as 'conda-forge'."
        )
    cache_dir, cache_source = lookup.find("cache_dir")
    resolver, _ = lookup.find("resolver")
    aws_conn_id, _ = lookup.find("aws_conn_id")
    channel_conn_id, _ = lookup.find("channel_conn_id")
    root = _datastore_root(datastore, lookup)
    return Settings(
        datastore=datastore,
        datastore_root=root,
        datatools_root=_datatools_root(datastore, root, lookup),
        cache_dir=_directory(cache_dir, cache_source),
        channels=channels,
        package_suffixes=_parts(lookup.find("package_suffixes").text),
        package_modules=_parts(lookup.find("package_modules").text),
        resolver=resolver,
        resolver_seconds=lookup.find_seconds("resolver_seconds"),
        archspec=_archspec(lookup),
        glibc=lookup.find_version("glibc"),
        cuda=lookup.find_version("cuda"),
        osx=lookup.find_version("osx"),
        remote_platform=lookup.find("remote_platform")[0],
        channel_conn_id=channel_conn_id,
        aws_conn_id=aws_conn_id,
        step_credentials=lookup.find("step_credentials").text == "true" or datastore == "local",
        texts={option.name: lookup.find(option.name) for option in options()},
    )


def metaflow_setting(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Value of one of Metaflow's own settings, from its environment variable or configuration file, or None.

    Args:
        name: name such as ``METAFLOW_S3_ENDPOINT_URL``.
        environ: as for ``load_settings``.

    Raises:
        SettingError: the configuration file cannot be read, or holds something else than a text.
    """
    environ = os.environ if environ is None else environ
    found = environ.get(name) or _metaflow_configuration(environ).get(name)
    if found is not None and not isinstance(found, str):
        raise SettingError(f"{name} in {_metaflow_file(environ)} is {found!r}; it takes a text.")
    return found


class ProjectPlace(NamedTuple):
    """Branch of flows with ``@project``, according to the settings.

    Attributes:
        branch: name of the branch; None for that of the user or of production.
        production: True if the branch is one of production.
        user: user in the ids of DAGs that are on no branch.
    """

    branch: str | None
    production: bool
    user: str


def project_place(
    fallbacks: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None
) -> ProjectPlace:
    """Branch of flows with ``@project``, according to the settings.

    Args:
        fallbacks: as for ``load_settings``.
        environ: as for ``load_settings``.

    Raises:
        SettingError: a value is not allowed.
    """
    lookup = _Lookup({}, fallbacks or {}, os.environ if environ is None else environ)
    production = lookup.find("production").text == "true"
    return ProjectPlace(lookup.find("branch").text or None, production, lookup.find("project_user").text)


class _Lookup:
    """Finder of an option's text and its source."""

    def __init__(
        self,
        overrides: Mapping[str, str | None],
        fallbacks: Mapping[str, str | None],
        environ: Mapping[str, str],
    ) -> None:
        self.overrides = overrides
        self.fallbacks = fallbacks
        self.environ = environ
        self._options = {option.name: option for option in options()}
        self._metaflow: Mapping[str, Any] | None = None

    @property
    def metaflow(self) -> Mapping[str, Any]:
        # Read once, because almost every option is looked up in it.
        if self._metaflow is None:
            self._metaflow = _metaflow_configuration(self.environ)
        return self._metaflow

    def find(self, name: str, extra_aliases: tuple[str, ...] = ()) -> FoundText:
        option = self._options[name]
        found = self._first(option, (*option.aliases, *extra_aliases))
        if option.choices == ("true", "false"):
            found = found._replace(text=found.text.lower())  # Airflow writes True
        if option.choices and found.text not in option.choices:
            raise SettingError(
                f"{found.source} is {found.text!r}; it takes one of: {', '.join(option.choices)}."
            )
        return found

    def find_version(self, name: str) -> str:
        text, source = self.find(name)
        if text and not _VERSION.fullmatch(text):
            raise SettingError(f"{source} is {text!r}; it takes a version, such as 2.28.")
        return text

    def find_seconds(self, name: str) -> int:
        text, source = self.find(name)
        if not re.fullmatch("[0-9]{1,9}", text) or not int(text):
            raise SettingError(f"{source} is {text!r}; it takes a number of seconds, such as 600.")
        return int(text)

    def _first(self, option: Option, aliases: tuple[str, ...]) -> FoundText:
        given = self.overrides.get(option.name)
        if given is not None:
            return FoundText(given, "--" + option.name.replace("_", "-"))
        for variable in (option.environment_variable, *aliases):
            if self.environ.get(variable):
                return FoundText(self.environ[variable], f"The environment variable {variable}")
        # Metaflow's file has Metaflow's keys alone, so CONDA_FLOW_<NAME> is not looked up in it.
        for key in aliases:
            if self.metaflow.get(key):
                value = self.metaflow[key]
                text = value if isinstance(value, str) else json.dumps(value)
                return FoundText(text, f"{key} in {_metaflow_file(self.environ)}")
        fallback = self.fallbacks.get(option.name)
        if fallback:
            return FoundText(fallback, f"The Airflow option [conda_flow] {option.name}")
        return FoundText(option.default, f"The default of {option.name}")


def _archspec(lookup: _Lookup) -> str:
    text, source = lookup.find("archspec")
    if text and not _MICROARCHITECTURE.fullmatch(text):
        raise SettingError(f"{source} is {text!r}; it takes a microarchitecture, such as x86_64_v3.")
    return text


def _datastore_root(datastore: str, lookup: _Lookup) -> str:
    alias = _S3_ROOT_ALIAS if datastore == "s3" else _LOCAL_ROOT_ALIAS
    root, source = lookup.find("datastore_root", (alias,))
    if datastore == "s3":
        if not root:
            raise SettingError(
                "The datastore is s3, but it has no root. Set --datastore-root, or "
                "CONDA_FLOW_DATASTORE_ROOT, to s3://bucket/prefix."
            )
        if not _is_s3(root):
            raise SettingError(
                f"{source} is {root!r}; an S3 datastore takes s3://bucket or s3://bucket/prefix. "
                "For a directory, set --datastore local."
            )
        return root.rstrip("/")
    if "://" in root or _SCHEME.match(root):
        raise SettingError(
            f"{source} is {root!r}; a local datastore takes a directory. For S3, set --datastore s3 and a "
            "root such as s3://bucket/prefix."
        )
    return str(_directory(root or f"{HOME}/datastore", source))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _directory(text: str, source: str) -> Path:
    """Absolute path of a directory that need not exist.

    Raises:
        SettingError: there can be no such directory; ``source`` says where the text comes from.
    """
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError as error:
        user = text.partition("/")[0]
        why = f"there is no user {user[1:]}" if user != "~" else "this user has no home directory; set HOME"
        raise SettingError(f"{source} is {text!r}, but {why}. Write another directory.") from error
    if text.startswith(("{", "[")):  # from a configuration file
        raise SettingError(f"{source} is {text!r}; it takes a directory.")
    if any("\ud800" <= each <= "\udfff" for each in str(path)):
        raise SettingError(f"{source} is {text!r}: the path of a directory has to be UTF-8.")
    if "\0" in text or any(ord(each) < ord(" ") for each in text):
        raise SettingError(f"{source} is {text!r}; a directory takes no control characters.")
    if len(os.fsencode(path)) > _LONGEST_PATH or any(len(os.fsencode(p)) > _LONGEST_PART for p in path.parts):
        raise SettingError(
            f"{source} is {text[:60]!r}... of {len(text)} characters: too long for a directory. "
            "Write a shorter one."
        )
    return path


def _is_s3(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket of an IPv6 address that is none
        return False
    return parts.scheme == "s3" and bool(parts.netloc)


def _datatools_root(datastore: str, datastore_root: str, lookup: _Lookup) -> str | None:
    root, source = lookup.find("datatools_s3root")
    if not root:
        return f"{datastore_root}/data" if datastore == "s3" else None
    if not _is_s3(root):
        raise SettingError(f"{source} is {root!r}; it takes s3://bucket or s3://bucket/prefix.")
    return root.rstrip("/")


def _metaflow_file(environ: Mapping[str, str]) -> Path:
    stated = environ.get("METAFLOW_HOME")
    try:
        home = _directory(stated or "~/.metaflowconfig", "The environment variable METAFLOW_HOME")
    except SettingError:
        if stated:
            raise
        home = Path("/nonexistent")  # this user has no home directory, and so no such file
    profile = environ.get("METAFLOW_PROFILE")
    return home / (f"config_{profile}.json" if profile else "config.json")


def _metaflow_configuration(environ: Mapping[str, str]) -> Mapping[str, Any]:
    path = _metaflow_file(environ)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        content = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise SettingError(f"{path} is nested too deeply. Mend it or remove it.") from None
    except ValueError as error:
        raise SettingError(f"{path} is not valid JSON: {error}. Mend it or remove it.") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path} holds {type(content).__name__}; it takes a JSON object.")
    return content
