"""Virtual packages: what the machine of an environment is taken to have, declared and never detected.

Detected ones would make another environment on every machine. Part of a spec's id.
https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html
"""

from __future__ import annotations

from airflow_conda_flow.environments.platform import current_platform, glibc_version
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings import Settings

_LINUX_KERNEL = "5.10"


def declared_virtual_packages(platform: str, settings: Settings) -> dict[str, str]:
    """Version by name of the virtual packages of a platform, as the settings declare them."""
    packages = {"__unix": "0"}
    if platform.startswith("linux"):
        packages.update(__linux=_LINUX_KERNEL, __glibc=settings.glibc)
    elif platform.startswith("osx"):
        packages["__osx"] = settings.osx
    if settings.cuda:
        packages["__cuda"] = settings.cuda
    return dict(sorted(packages.items()))


def check_this_machine(settings: Settings) -> None:
    """Raise ``SettingError`` if environments are made for a newer glibc than this machine has."""
    if not current_platform().startswith("linux"):
        return
    here = glibc_version()
    if _parts(here) < _parts(settings.glibc):
        raise SettingError(
            f"Environments are solved for glibc {settings.glibc}, and this machine has {here}. "
            f"Set CONDA_FLOW_GLIBC to {here}, everywhere the same."
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
