"""The conda platform of this machine."""

from __future__ import annotations

import platform
import sys

from airflow_conda_flow.errors import SettingError

_PLATFORMS = {
    ("linux", "x86_64"): "linux-64",
    ("linux", "aarch64"): "linux-aarch64",
    ("linux", "ppc64le"): "linux-ppc64le",
    ("darwin", "x86_64"): "osx-64",
    ("darwin", "arm64"): "osx-arm64",
}
PLATFORMS = tuple(_PLATFORMS.values())
"""Conda platforms that steps can run on."""


def current_platform() -> str:
    """Conda platform of this machine, such as ``linux-64``.

    Raises:
        SettingError: there are no conda environments for this kind of machine.
    """
    key = (sys.platform, platform.machine())
    if key not in _PLATFORMS:
        raise SettingError(f"There are no conda environments for {key[0]} on {key[1]}.")
    return _PLATFORMS[key]


def glibc_version() -> str:
    """Version of glibc on this machine; 2.28, the default of the setting ``glibc``, if it has none."""
    name, version = platform.libc_ver()
    return version if name == "glibc" else "2.28"
