"""Virtual packages: properties of the machine, such as its glibc, that packages may depend on.

They are declared and never detected, because they are part of a spec's id: detected ones would give another
environment on every machine.
https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_conda_flow.environments.platform import current_platform, glibc_version
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import Settings

# Declared for every Linux machine. A higher version would allow packages that older kernels cannot run, a
# lower one would exclude packages that need a newer kernel. A change changes the id of every Linux spec.
_LINUX_KERNEL = "5.10"


def declared_virtual_packages(platform: str, settings: Settings) -> dict[str, str]:
    """Virtual packages of a platform as the settings declare them: versions by name."""
    packages = {"__unix": "0"}
    if platform.startswith("linux"):
        packages.update(__linux=_LINUX_KERNEL, __glibc=settings.glibc)
    elif platform.startswith("osx"):
        packages["__osx"] = settings.osx
    if settings.cuda:
        packages["__cuda"] = settings.cuda
    # One setting for all platforms of a flow: a microarchitecture of x86 says nothing about the others.
    if settings.archspec and (platform.endswith("-64") or not settings.archspec.startswith("x86")):
        packages["__archspec"] = f"1={settings.archspec}"
    return dict(sorted(packages.items()))


def split_virtual_version(version: str) -> tuple[str, str]:
    """Version and build of a virtual package; the build, behind ``=``, is 0 where none is stated.

    >>> split_virtual_version("2.28"), split_virtual_version("1=x86_64_v3"), split_virtual_version("")
    (('2.28', '0'), ('1', 'x86_64_v3'), ('', ''))
    """
    number, _, build = version.partition("=")
    return number, build or ("0" if number else "")


def check_this_machine(specs: Mapping[str, EnvironmentSpec], lock_command: str) -> None:
    """Check that this machine's glibc is not older than the one that environments were solved for.

    Args:
        specs: by step, of the steps that run on this machine. With a lock file, they have those of the file.
        lock_command: the command that writes the lock file, for messages.

    Raises:
        SettingError: it is older.
    """
    if not current_platform().startswith("linux"):
        return
    here = glibc_version()
    for step, spec in specs.items():
        wanted = spec.virtual_packages.get("__glibc", "")
        if _parts(here) >= _parts(wanted):
            continue
        if spec.locked is not None:
            raise SettingError(
                f"The environment of step {step} was locked for glibc {wanted}, and this machine has {here}. "
                f"Set CONDA_FLOW_GLIBC to {here} and lock it again: {lock_command} --upgrade"
            )
        raise SettingError(
            f"Environments are solved for glibc {wanted}, and this machine has {here}. "
            f"Set CONDA_FLOW_GLIBC to {here}, everywhere the same."
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
