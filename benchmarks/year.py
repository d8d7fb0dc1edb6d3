"""A year in fast motion: runs of changing environments, with prunes; the disk's use, and what comes back.

    .venv/bin/python benchmarks/year.py [RUNS [MINUTES]]

Each run is 1.8 days after the one before; a library has a new version for every fourth. After every tenth,
the datastore is pruned to the last ten runs, and the cache of what was not used for two days. At the end the
channel is removed with all environments, and each run that is left is resumed. It ends early after MINUTES.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from airflow_conda_flow.channel.build import build_channel
from airflow_conda_flow.channel.interpreters import find_interpreter
from tests.parts.fast_year import PYTHON, FastYear

KEPT = EVERY = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=200)
    parser.add_argument("minutes", nargs="?", type=float, default=240)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.0f}\n")
    print("| runs | days | before the prune, MB | after, MB | runs kept | seconds of the prune |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    work = Path(tempfile.mkdtemp())
    try:
        build_channel(work / "python", [find_interpreter(PYTHON)], [], lambda _: None)
        (python,) = (work / "python").glob("*/python-*.conda")
        year = FastYear(work / "year", python, seed=1, size=4_000_000)
        versions = live(year, arguments.runs, time.monotonic() + 60 * arguments.minutes)
        year.lose_the_channel()
        kept = year.kept()
        assert kept == sorted(versions)[-len(kept) :]
        for run_id in kept:
            assert year.resume(run_id) == (versions[run_id], versions[run_id])
        print(
            f"\nEach of the {len(kept)} runs was resumed without a channel, in the environment that it had."
        )
    finally:
        shutil.rmtree(work)


def live(year, runs, deadline):
    """Versions of the library by run."""
    versions = {}
    for number in range(runs):
        if number % 4 == 0:
            year.release(number // 4)
        versions[year.run(number // 4)] = str(number // 4)
        year.pass_days(1.8)
        if number % EVERY == EVERY - 1:
            before, started = year.size(), time.perf_counter()
            year.prune(KEPT)
            print(
                f"| {number + 1} | {1.8 * (number + 1):.0f} | {before / 1e6:.0f} | {year.size() / 1e6:.0f} | "
                f"{len(year.kept())} | {time.perf_counter() - started:.1f} |",
                flush=True,
            )
            if time.monotonic() > deadline:
                break
    return versions


if __name__ == "__main__":
    main()
