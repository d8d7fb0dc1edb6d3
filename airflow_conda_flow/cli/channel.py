"""``airflow-conda-flow channel``: make and serve a conda channel where none can be reached."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airflow_conda_flow.errors import SettingError


def add_commands(commands: Any) -> None:
    """Add ``channel`` and its commands to the tool's."""
    channel = commands.add_parser("channel", help="make and serve a conda channel")
    actions = channel.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = actions.add_parser(
        "build", help="make a channel from PyPI's wheels and this machine's interpreters"
    )
    build.add_argument("directory", type=Path, metavar="DIR")
    build.add_argument("requirements", nargs="*", metavar="NAME==VERSION")
    build.add_argument("--python", action="append", default=[], metavar="X.Y", help="may be given again")
    build.add_argument(
        "--python-from",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="an interpreter to pack",
    )
    build.set_defaults(execute=_build)
    serve = actions.add_parser("serve", help="serve a channel over HTTP")
    serve.add_argument("directory", type=Path, metavar="DIR")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.set_defaults(execute=_serve)


def _build(arguments: argparse.Namespace) -> int:
    from airflow_conda_flow.channel.build import build_channel  # noqa: PLC0415 - needs zstandard
    from airflow_conda_flow.channel.interpreters import (  # noqa: PLC0415 - as above
        find_interpreter,
        inspect,
    )

    interpreters = [find_interpreter(version) for version in arguments.python]
    for path in arguments.python_from:
        interpreter = inspect(path)
        if interpreter is None:
            raise SettingError(f"{path} is not a Python interpreter that runs here.")
        interpreters.append(interpreter)
    if not interpreters:
        raise SettingError("Say which Python the channel is for, such as --python 3.11.")
    build_channel(arguments.directory, interpreters, arguments.requirements, print)
    print(f"The channel is at {arguments.directory.absolute()}")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from airflow_conda_flow.channel.serve import make_server  # noqa: PLC0415 - not for build

    with make_server(arguments.directory, arguments.host, arguments.port) as server:
        print(f"Serving {arguments.directory} at http://{arguments.host}:{server.server_port}/")
        server.serve_forever()
    return 0
