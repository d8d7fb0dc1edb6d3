"""``package``: describe, list or save the code package that a run would use."""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.parser import FlowArgumentParser, chosen_settings
from airflow_conda_flow.datastore import code_package
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.runner.code_sources import CodeSources

COMMON: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the subcommands."""
    del definition
    # Metaflow's option, without effect here: building the package never waits.
    parser.add_argument("--timeout", help=argparse.SUPPRESS)
    add_actions(
        parser,
        [
            Action("info", "Describe the code package.", _add_nothing, _info, ("--package-suffixes",)),
            Action(
                "list",
                "List all files included in the code package.",
                _add_archive,
                _list,
                ("--package-suffixes",),
            ),
            Action(
                "save", "Save the current code package to a file.", _add_path, _save, ("--package-suffixes",)
            ),
        ],
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Report a missing subcommand; argparse does so first, as a subcommand is required."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write info, list or save")


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    del parser


def _add_archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--archive",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the paths in the package, not those on this machine",
    )


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a .zip file to write")


def _build(arguments: argparse.Namespace, definition: FlowDefinition) -> code_package.CodePackage:
    settings = chosen_settings(arguments)
    sources = CodeSources.of(definition, settings.package_modules)
    return code_package.build(
        definition.file, suffixes=settings.package_suffixes, root=sources.root, modules=sources.modules
    )


def _names(package: code_package.CodePackage) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        return archive.namelist()


def _info(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    package = _build(arguments, definition)
    print(f"Package size: {len(package.data) / 1e6:.2f} MB")
    print(f"Number of files: {len(_names(package))}")
    print(f"SHA-256: {package.sha256}")
    kinds = ", ".join(dict.fromkeys((".py", *chosen_settings(arguments).package_suffixes)))
    print(f"Packaged from directory {definition.root}: {kinds} files, sub-directories too")
    if modules := CodeSources.of(definition, chosen_settings(arguments).package_modules).modules:
        print(f"Modules from elsewhere: {', '.join(f'{name} ({path})' for name, path in modules.items())}")
    return 0


def _list(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    sources = CodeSources.of(definition, chosen_settings(arguments).package_modules)
    for name in _names(_build(arguments, definition)):
        print(name if arguments.archive else sources.path(name))
    return 0


def _save(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    package = _build(arguments, definition)
    try:
        Path(arguments.path).write_bytes(package.data)
    except OSError as error:
        raise SettingError(f"{arguments.path} cannot be written: {error.strerror}.") from error
    sys.stderr.write(f"Code package saved in {arguments.path}, SHA-256 {package.sha256}\n")
    return 0
