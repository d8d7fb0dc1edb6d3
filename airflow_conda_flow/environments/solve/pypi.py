"""Resolves PyPI packages with ``uv``, for the Python and the libraries of the conda solve.

The versions of conda's packages are constraints, and a package that conda provides is never taken from PyPI.
Only wheels are accepted, because a build from source gives another result on every machine.
https://docs.astral.sh/uv/reference/cli/#uv-pip-compile, https://peps.python.org/pep-0751/
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from packaging.utils import canonicalize_name

from airflow_conda_flow.environments.lock import LockedPackage
from airflow_conda_flow.environments.solve.patience import GivenUp, run_program
from airflow_conda_flow.environments.solve.pinned import pypi_package
from airflow_conda_flow.environments.spec import EnvironmentSpec, constraint
from airflow_conda_flow.environments.wheels import best_wheel
from airflow_conda_flow.errors import ChannelError, ResolverNotFound, SolveError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Packages whose names differ between conda and PyPI; all others are taken to have the same name in both.
_PYPI_NAMES = {
    "pytorch": "torch",
    "pytables": "tables",
    "matplotlib-base": "matplotlib",
    "py-opencv": "opencv-python",
}
_UV_PLATFORMS = {
    "linux-64": "x86_64-manylinux",
    "linux-aarch64": "aarch64-manylinux",
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
}
_DRAWING = " \t\u00d7\u2502\u2570\u2500\u25b6\u256d\u251c"  # the lines and arrows of uv's messages
_UNREACHABLE = re.compile(
    r"error sending request|failed to fetch|dns error|connection refused|timed out", re.IGNORECASE
)
_GLIBC_OF_UV = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)  # minor versions of uv's manylinux_2_x


def resolve_pypi(
    label: str,
    spec: EnvironmentSpec,
    conda: Iterable[LockedPackage],
    preferred: Iterable[LockedPackage] = (),
) -> list[LockedPackage]:
    """Wheels of a spec's PyPI packages and their dependencies, without packages that conda provides.

    Args:
        label: name of the environment in messages.
        spec: the spec, with ``pypi`` packages.
        conda: the packages of its conda solve.
        preferred: packages whose versions are kept where the spec allows it.

    Raises:
        SolveError: the packages conflict, conda provides one of them already, or one has no wheel for the
            platform.
        ChannelError: the index cannot be read.
        ResolverNotFound: uv is not installed.
    """
    conda = list(conda)
    brought = {_pypi_name(each.name): each.version for each in conda}
    stated = {canonicalize_name(name.split("[")[0]): name for name in spec.pypi}
    twice = sorted(set(stated) & set(brought) - {"python"})
    if twice:
        name = stated[twice[0]]
        raise SolveError(
            f"The environment of {label} cannot be solved: {name} is asked for from PyPI, and conda brings "
            f"{twice[0]} {brought[twice[0]]} already. Keep one: remove it from @pypi, or from @conda."
        )
    python = next((each.version for each in conda if each.name == "python"), spec.python)
    spec = replace(spec, python=python)
    content = _compile(label, spec, brought, [each for each in preferred if each.kind == "pypi"])
    found = []
    for each in content.get("packages", []):
        name = canonicalize_name(each["name"])
        if name not in brought:
            found.append(_wheel(label, spec, each, stated=name in stated))
    return found


def _pypi_name(name: str) -> str:
    return canonicalize_name(_PYPI_NAMES.get(name, name))


def _compile(
    label: str, spec: EnvironmentSpec, brought: Mapping[str, str], preferred: Sequence[LockedPackage]
) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="airflow-conda-flow-") as folder:
        wanted, fixed, output = Path(folder, "in.txt"), Path(folder, "fixed.txt"), Path(folder, "pylock.toml")
        wanted.write_text("".join(f"{name}{_specifier(version)}\n" for name, version in spec.pypi.items()))
        fixed.write_text(
            "".join(f"{name}=={version}\n" for name, version in brought.items() if name != "python")
        )
        if preferred:
            output.write_text(_earlier(preferred), encoding="utf-8")
        options = ["--constraint", str(fixed), "--python-version", spec.python]
        options += [
            "--python-platform",
            _uv_platform(spec),
            "--format",
            "pylock.toml",
            "--only-binary",
            ":all:",
        ]
        # Without the user's configuration of uv: the same spec must give the same packages everywhere.
        options += ["--no-header", "--quiet", "--no-config", "--output-file", str(output)]
        command = [_uv(), "pip", "compile", str(wanted), *options]
        what = f"the index of PyPI packages, to resolve those of {label}"
        try:
            done = run_program(command, what, _environ(), folder)
        except GivenUp as error:
            raise ChannelError(
                f"The PyPI packages of {label} cannot be resolved: uv was {error}, and was ended. "
                "Can this machine reach the index? It is set by UV_DEFAULT_INDEX or PIP_INDEX_URL."
            ) from error
        if done.returncode:
            _explain(label, done.stderr.replace(f"{folder}/", ""))
        content: dict[str, Any] = tomllib.loads(output.read_text(encoding="utf-8"))
        return content


def _earlier(preferred: Iterable[LockedPackage]) -> str:
    """An earlier output of uv, whose versions it keeps where it can."""
    lines = ['lock-version = "1.0"', 'created-by = "uv"']
    for each in preferred:
        lines += ["[[packages]]", f'name = "{each.name}"', f'version = "{each.version}"']
        lines.append(f'wheels = [{{ url = "{each.url}", hashes = {{ sha256 = "{each.sha256}" }} }}]')
    return "\n".join([*lines, ""])


def _specifier(version: str) -> str:
    """Specifier of PEP 440; a wildcard alone is short for ``==`` and it.

    >>> _specifier("1.2"), _specifier(">=1, <2"), _specifier("1.*"), _specifier("")
    ('==1.2', '>=1,<2', '==1.*', '')
    """
    text = constraint(version)
    return f"=={text}" if text[:1].isdigit() else text


def _uv() -> str:
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - only where PyPI packages are resolved
    except ImportError as error:
        raise ResolverNotFound(
            "PyPI packages are resolved with uv, which is not installed: pip install uv."
        ) from error
    return str(find_uv_bin())


def _environ() -> dict[str, str]:
    """Environment variables for uv; the index of pip's variables is used where uv's are not set."""
    environ = dict(os.environ)
    for ours, pips in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("UV_INDEX", "PIP_EXTRA_INDEX_URL")):
        if pips in environ and ours not in environ and "UV_INDEX_URL" not in environ:
            environ[ours] = environ[pips]
    return environ


def _uv_platform(spec: EnvironmentSpec) -> str:
    name = _UV_PLATFORMS.get(spec.platform)
    if name is None:
        raise SolveError(f"PyPI packages cannot be resolved for {spec.platform}.")
    if not name.endswith("manylinux"):
        return name
    # The newest manylinux that is not newer than the declared glibc; uv refuses versions between its own.
    minor = int(spec.virtual_packages.get("__glibc", "2.17").split(".")[1])
    return f"{name}_2_{max(each for each in _GLIBC_OF_UV if each <= max(minor, 17))}"


def _explain(label: str, text: str) -> NoReturn:
    reason = "\n".join(line.strip(_DRAWING) for line in text.splitlines()).strip().removeprefix("error: ")
    if _UNREACHABLE.search(text):
        raise ChannelError(
            f"The PyPI packages of {label} cannot be resolved, because the index cannot be read: {reason}\n"
            "Is the address right, and can this machine reach it? The index is set by UV_DEFAULT_INDEX or "
            "PIP_INDEX_URL."
        )
    raise SolveError(f"The PyPI packages of {label} cannot be resolved.\n{reason}")


def _wheel(label: str, spec: EnvironmentSpec, package: Mapping[str, Any], *, stated: bool) -> LockedPackage:
    wheels: Sequence[Mapping[str, Any]] = package.get("wheels", ())
    by_url = {each.get("url") or Path(each["path"]).absolute().as_uri(): each for each in wheels}
    url = best_wheel(list(by_url), spec.python, spec.platform, spec.virtual_packages)
    if url is None:
        raise SolveError(
            f"The PyPI packages of {label} cannot be resolved: {package['name']} {package['version']} has no "
            f"wheel for Python {spec.python} on {spec.platform}. Take another version, or conda's package."
        )
    wheel = by_url[url]
    name = canonicalize_name(package["name"])
    return pypi_package(
        name, package["version"], url, wheel["hashes"]["sha256"], wheel.get("size", 0), stated=stated
    )
