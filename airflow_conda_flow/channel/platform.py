"""The platform that packages of this machine are for."""

from __future__ import annotations

import platform

_MACHINES = {"x86_64": "64", "aarch64": "aarch64"}
MACHINE = platform.machine()
SUBDIR = f"linux-{_MACHINES.get(MACHINE, MACHINE)}"


def platform_fields() -> dict[str, str]:
    """The fields of ``index.json`` that say for which machines a compiled package is."""
    return {"arch": MACHINE, "platform": "linux"}
