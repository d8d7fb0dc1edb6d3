"""Writes a channel's index: ``repodata.json`` and its siblings, one set for each platform folder.

The index is made in a process of its own that ends without Python's tear-down: py-rattler's threads
may crash a process there, after all the work is done.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from airflow_conda_flow.errors import ChannelError


def index_channel(directory: Path) -> None:
    """Write the index of all packages in the channel.

    Raises:
        ChannelError: the index cannot be made, such as for a file that is no package.
    """
    (directory / "noarch").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", __name__, directory], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip() or f"the indexing process ended with {done.returncode}"
        raise ChannelError(f"The channel {directory} cannot be indexed: {reason}")


def _main(directory: str) -> None:
    from rattler.index import index_fs  # noqa: PLC0415 - only this process may load it

    code = 0
    try:
        asyncio.run(index_fs(Path(directory)))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        sys.stderr.write(f"{error}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _main(sys.argv[1])
