"""Seconds to make one environment (Python, numpy, scipy, scikit-learn): first ever, cold, warm."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import harness

from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec


def timed(function, *arguments):
    started = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - started, value


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    spec = EnvironmentSpec(
        python=harness.PYTHON,
        libraries={"scikit-learn": "1.5.2", "numpy": "1.26.4"},
        channels=(str(harness.channel()),),
        platform=current_platform(),
    )
    try:
        solved, lock = timed(lambda: Environments(work).resolve(spec, "benchmark"))
        cold, prefix = timed(lambda: Environments(work).materialise(lock))
        copied, _ = harness.run(["cp", "-r", prefix, work / "copy"])
        shutil.rmtree(prefix)
        linked, prefix = timed(lambda: Environments(work).materialise(lock))
        warm, _ = timed(lambda: Environments(work).materialise(lock))
        check, _ = harness.run([prefix / "bin" / "python", "-I", "-c", "import sklearn"])
    finally:
        shutil.rmtree(work)
    harness.table(
        "One environment: Python, numpy, scipy, scikit-learn",
        [
            ("cp -r of the environment", copied, None, ""),
            ("solved, downloaded, locked", solved, None, ""),
            ("made from archives", cold, cold / copied, "cp -r"),
            ("made from extracted packages", linked, linked / copied, "cp -r"),
            ("already made", warm, None, ""),
            ("python -c 'import sklearn' in it", check, None, ""),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
