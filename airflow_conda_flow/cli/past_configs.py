"""Configs of the run that is resumed or spun."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from airflow_conda_flow.cli.config_options import add_config_options, configs_of
from airflow_conda_flow.cli.keywords import read_keywords
from airflow_conda_flow.cli.parser import add_common_options, chosen_settings
from airflow_conda_flow.cli.past_runs import latest_run, open_catalogue, run_of
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.flow.definition import FlowDefinition, read_flow
from airflow_conda_flow.flow.parameters.config import ConfigOptions
from airflow_conda_flow.flow.parameters.config_input import GivenConfigs
from airflow_conda_flow.flow.parameters.config_value import plain
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runtime import pickling


def with_configs_of(
    origin: RunRecord, definition: FlowDefinition, catalogue: RunCatalogue, given: GivenConfigs | None = None
) -> FlowDefinition:
    """Current definition of the flow, with the origin's configs for those that are not given now."""
    stored = _stored(origin, list(definition.configs), catalogue)
    if not stored:
        return definition
    found = read_flow(definition.flow_class, (given or GivenConfigs()).after(stored))
    found.branch, found.production = definition.branch, definition.production
    found.file, found.package, found.call = definition.file, definition.package, definition.call
    found.started_by, found.repeated = definition.started_by, definition.repeated
    return found


def given_values(definition: FlowDefinition) -> dict[str, Any]:
    """Values of the configs that are given now, by attribute."""
    given = definition.given_configs
    names = {*given.files, *given.values}
    return {
        each.attribute: plain(definition.configs[each.attribute])
        for each in configs_of(definition.flow_class)
        if each.name in names
    }


def with_required_ones(flow_class: type[Any], given: GivenConfigs, words: Sequence[str]) -> GivenConfigs:
    """Given configs, and those of the run that is resumed or spun where a required one is not given.

    The flow cannot be read without them, and the command line cannot be parsed before the flow is read. So
    the words that name the origin are looked for here.

    Args:
        flow_class: the flow.
        given: what is given for its configs.
        words: command line without the program.
    """
    configs = configs_of(flow_class)
    lacking = [each for each in configs if each.required and each.name not in {*given.files, *given.values}]
    if not lacking:
        return given
    arguments, rest = _origin_parser(configs).parse_known_args(words)
    catalogue = open_catalogue(chosen_settings(arguments))
    name = flow_class.__name__
    word = _origin_word(arguments, rest, name)
    origin = (
        latest_run(catalogue, name, "its id")
        if word is None
        else run_of(catalogue, name, word, "--origin-run-id")
    )
    return given.after(_stored(origin, [each.attribute for each in configs], catalogue))


def _origin_parser(configs: Sequence[ConfigOptions]) -> argparse.ArgumentParser:
    """Parser of every option with a value that may precede the word that names the origin."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_common_options(parser, inherited=False)
    add_config_options(parser, configs)
    parser.add_argument("--keywords-file")
    parser.add_argument("--origin-run-id")
    for option in ("--with", "--branch", "--artifacts-module", "--run-id-file", "--runner-attribute-file"):
        parser.add_argument(option, action="append")
    return parser


def _origin_word(arguments: argparse.Namespace, rest: Sequence[str], flow: str) -> str | None:
    """Id of the origin; None if the command line does not name it."""
    if "spin" in rest:
        behind = [each for each in rest[list(rest).index("spin") + 1 :] if not each.startswith("-")]
        parts = behind[0].removeprefix(f"{flow}/").split("/") if behind else []
        return parts[0] if len(parts) > 1 else None
    if arguments.keywords_file is not None and arguments.origin_run_id is None:
        found: str | None = read_keywords(arguments.keywords_file).get("origin_run_id")
        return found
    word: str | None = arguments.origin_run_id
    return word


def _stored(origin: RunRecord, attributes: Sequence[str], catalogue: RunCatalogue) -> dict[str, Any]:
    refs = {name: origin.parameters[name] for name in attributes if name in origin.parameters}
    return {
        name: pickling.load_from_file(catalogue.artifact(ref["sha256"], ref["size"]))
        for name, ref in refs.items()
    }
