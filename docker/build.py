"""Build the runner image: ``make image BASE=python:3.11-slim IMAGE=registry/name:tag``.

This program downloads everything from the package index on the host and copies it into the image, so the
build itself needs no network. Python version and processor of the base image decide which wheels are used.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from airflow_conda_flow._version import __version__

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
CONTEXT = REPOSITORY / "build" / "image"
PACKAGE = "airflow-conda-flow"
FILES = (HERE / "Dockerfile", REPOSITORY / PACKAGE.replace("-", "_") / "runner" / "self_contained.py")
ASK = "import json, platform, sys; print(json.dumps([list(sys.version_info[:2]), platform.machine()]))"
OLDEST_PYTHON = [3, 10]


def main() -> None:
    """Build the image that the command line names, and print its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="python:3.11-slim", help="an image with Python and glibc")
    parser.add_argument("--image", default=f"{PACKAGE}-runner:{__version__}", help="what to call the image")
    arguments = parser.parse_args()
    version, machine = python_of(arguments.base)
    shutil.rmtree(CONTEXT, ignore_errors=True)
    CONTEXT.mkdir(parents=True)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(CONTEXT / "package"), str(REPOSITORY))
    download_wheels(CONTEXT / "wheels", version, machine)
    for file in FILES:
        shutil.copy2(file, CONTEXT / file.name)
    build_argument = f"BASE={arguments.base}"
    run("docker", "build", "--build-arg", build_argument, "--tag", arguments.image, str(CONTEXT))
    run("docker", "run", "--rm", arguments.image)
    size, base_size = size_of(arguments.image), size_of(arguments.base)
    print(f"{arguments.image}: {size:.0f} MB, of which {size - base_size:.0f} MB are the runner")


def python_of(base: str) -> tuple[str, str]:
    """Python version, such as ``3.11``, and processor of an image. Ends the program if Python is too old."""
    version, machine = json.loads(run("docker", "run", "--rm", "--entrypoint", "python3", base, "-c", ASK))
    if version < OLDEST_PYTHON:
        sys.exit(f"The base {base} has Python {version[0]}.{version[1]}; the runner needs 3.10 or later.")
    return f"{version[0]}.{version[1]}", machine


def download_wheels(folder: Path, version: str, machine: str) -> None:
    """Download the wheels of our extra ``runner``, with all their dependencies."""
    # pip evaluates the marker `extra == "runner"` as false and skips the requirement, so it is cut off.
    # Older manylinux platforms are listed too: pip does not derive them from manylinux_2_28.
    stated = [each.replace("'", '"') for each in requires(PACKAGE) or []]
    wanted = [each.split(";")[0].strip() for each in stated if 'extra == "runner"' in each]
    platforms = [f"{name}_{machine}" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--dest", str(folder), "--only-binary", ":all:", "--python-version", version),
        *(word for each in platforms for word in ("--platform", each)),
        *wanted,
    )


def size_of(image: str) -> float:
    """Size of an image with all its layers, in MB."""
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def run(*command: str) -> str:
    """Standard output of a command. Ends the program with the command's output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
