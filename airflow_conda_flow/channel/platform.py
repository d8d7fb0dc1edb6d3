"""Platform of packages that this machine builds."""

from __future__ import annotations

import platform

# conda's names of Linux machines, by the kernel's names.
_MACHINES = {"x86_64": "64", "aarch64": "aarch64"}
MACHINE = platform.machine()
SUBDIR = f"linux-{_MACHINES.get(MACHINE, MACHINE)}"


def platform_fields() -> dict[str, str]:
    """Fields of ``index.json`` that state the platform of a compiled package."""
    return {"arch": MACHINE, "platform": "linux"}
