"""Common parts of the benchmarks: places, the peer's interpreter, a channel, timing and the table."""

import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
WORK = REPOSITORY / ".cache" / "benchmarks"
METAFLOW = "metaflow==2.19.39"
PYTHON = platform.python_version()


def metaflow_python():
    """The interpreter of a virtual environment that holds Metaflow and numpy."""
    venv = WORK / "metaflow"
    python = venv / "bin" / "python"
    if not (venv / ".ready").exists():
        subprocess.run([sys.executable, "-m", "uv", "venv", "--quiet", "--clear", venv], check=True)
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
            + [METAFLOW, "numpy==1.26.4", "setuptools<81"],
            check=True,
        )
        (venv / ".ready").touch()
    return python


def channel():
    """A conda channel with this Python, numpy and scikit-learn."""
    tool = Path(sys.executable).parent / "airflow-conda-flow"
    directory = WORK / "channel"
    requirements = ["numpy==1.26.4", "scikit-learn==1.5.2"]
    subprocess.run(
        [tool, "channel", "build", directory, "--python", PYTHON, *requirements],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return directory


def environ(work, channel_directory=None):
    """Environment variables for one run whose data stays under ``work``."""
    values = dict(os.environ, HOME=str(work), USERNAME="benchmark")
    values.update(METAFLOW_DEFAULT_METADATA="local", METAFLOW_DATASTORE_SYSROOT_LOCAL=str(work))
    values["CONDA_FLOW_DATASTORE_ROOT"] = str(work / "datastore")
    values["CONDA_FLOW_CACHE_DIR"] = str(work / "cache")
    values.pop("PYTHONPATH", None)
    if channel_directory is not None:
        values["CONDA_CHANNELS"] = str(channel_directory)
    return values


def run(command, **kwargs):
    """Run to the end; returns the seconds. The output shows only if it fails."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout


def median_of(times, measure):
    """The median of ``times`` calls of ``measure``."""
    return statistics.median(measure() for _ in range(times))


def table(title, rows):
    """Print rows of (what, seconds, ratio or None, to what)."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    print(f"\n### {title}\n")
    print(f"{date.today()}, {os.cpu_count()} cores ({model}), Python {PYTHON}\n")
    print("| what | seconds | ratio |\n| --- | ---: | --- |")
    for what, seconds, ratio, peer in rows:
        text = "" if ratio is None else f"{ratio:.2f} times {peer}"
        print(f"| {what} | {seconds:.3f} | {text} |")
