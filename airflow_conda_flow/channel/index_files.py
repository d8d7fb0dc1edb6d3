"""Writer of a channel's index: ``repodata.json``, its compressed form and shards, in each platform folder.

A separate process makes the index and ends without Python's tear-down, because py-rattler's threads may
crash a process during tear-down, after all the work is done.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from airflow_conda_flow.errors import ChannelError


def index_channel(directory: Path) -> None:
    """Index all packages in the channel.

    Raises:
        ChannelError: the index cannot be made, for example because a file is not a package.
    """
    # conda refuses a channel without noarch/repodata.json, even if all packages are for one platform.
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
        asyncio.run(index_fs(Path(directory), write_zst=True, write_shards=True))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        sys.stderr.write(f"{error}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _main(sys.argv[1])
