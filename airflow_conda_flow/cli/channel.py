"""``airflow-conda-flow channel``: build and serve a conda channel where no public one can be reached."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from airflow_conda_flow.cli.serving import serve_until_asked
from airflow_conda_flow.errors import SettingError


def add_commands(commands: Any) -> None:
    """Add ``channel`` and its subcommands to the tool."""
    channel = commands.add_parser("channel", help="make and serve a conda channel")
    actions = channel.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = actions.add_parser(
        "build", help="make a channel from PyPI's wheels and this machine's interpreters"
    )
    build.add_argument("directory", type=Path, metavar="DIR")
    build.add_argument("requirements", nargs="*", metavar="NAME==VERSION")
    build.add_argument(
        "--python",
        action="append",
        default=[],
        type=_version,
        metavar="X.Y",
        help="a Python to pack, and to get wheels for; X.Y or X.Y.Z; may be given again",
    )
    build.add_argument(
        "--python-from",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="an interpreter to pack",
    )
    build.add_argument(
        "--pip",
        action="store_true",
        help="add pip as well, which some versions of mamba require for every Python",
    )
    build.set_defaults(execute=_build, command_parser=build)
    serve = actions.add_parser("serve", help="serve a channel over HTTP")
    serve.add_argument("directory", type=Path, metavar="DIR")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.set_defaults(execute=_serve)


def _version(text: str) -> str:
    # The part after the digits allows pre-releases such as 3.13.0rc1.
    if not re.fullmatch(r"3\.\d+(\.\d+\w*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a Python version, such as 3.11 or 3.11.7")
    return text


def _build(arguments: argparse.Namespace) -> int:
    from airflow_conda_flow.channel.build import build_channel  # noqa: PLC0415 - needs zstandard
    from airflow_conda_flow.channel.interpreters import (  # noqa: PLC0415 - as above
        find_interpreter,
        inspect,
    )

    if not (arguments.python or arguments.python_from):
        arguments.command_parser.error("say which Python it is for, such as --python 3.11")
    interpreters = [find_interpreter(version) for version in arguments.python]
    for path in arguments.python_from:
        interpreter = inspect(path)
        if interpreter is None:
            raise SettingError(f"{path} is not a CPython interpreter that runs here.")
        interpreters.append(interpreter)
    requirements = [*arguments.requirements, *(["pip"] if arguments.pip else [])]
    build_channel(arguments.directory, interpreters, requirements, print)
    print(f"The channel is at {arguments.directory.absolute()}. Flows use it after")
    print(f"    export CONDA_CHANNELS={shlex.quote(arguments.directory.absolute().as_uri())}")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from airflow_conda_flow.channel.serve import make_server  # noqa: PLC0415 - not for build

    if not arguments.directory.is_dir():
        raise SettingError(
            f"There is no channel at {arguments.directory}. "
            f"Make one: airflow-conda-flow channel build {arguments.directory} --python 3.11"
        )
    with make_server(arguments.directory, arguments.host, arguments.port) as server:
        address = f"http://{arguments.host}:{server.server_port}/"
        return serve_until_asked(server, f"Serving {arguments.directory} at {address}")
