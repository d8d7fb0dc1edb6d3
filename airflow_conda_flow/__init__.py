"""Write a flow once; run every step in its own conda environment, locally or as an Airflow DAG.

Standard library only, Python 3.6 and later: this file is shipped into step environments. The client
(``Flow``, ``Run``, ...) and other rarely used names are imported when they are first used.
"""

import sys

try:  # these import all modules of the standard library that the others need
    from airflow_conda_flow import bindings as _bindings  # noqa: F401 - registers the late bindings and places
    from airflow_conda_flow.flow.absent_modules import explain_absent_modules
    from airflow_conda_flow.flow.decorators.step import step
    from airflow_conda_flow.flow.flowspec import FlowSpec
    from airflow_conda_flow.flow.parameters.config import Config
except (ImportError, AttributeError) as _error:  # a file beside the flow may hide a library
    from airflow_conda_flow.flow.hidden_module import explain as _explain

    _explain(_error)
    raise
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.decorators.airflow_sensors import (
    airflow_external_task_sensor,
    airflow_s3_key_sensor,
)
from airflow_conda_flow.flow.decorators.airflow_task import airflow_task
from airflow_conda_flow.flow.decorators.aws_credentials import aws_credentials
from airflow_conda_flow.flow.decorators.batch import batch
from airflow_conda_flow.flow.decorators.card import card
from airflow_conda_flow.flow.decorators.catch import catch
from airflow_conda_flow.flow.decorators.conda import conda, conda_base, pypi, pypi_base
from airflow_conda_flow.flow.decorators.environment import environment
from airflow_conda_flow.flow.decorators.exit_hook import exit_hook
from airflow_conda_flow.flow.decorators.kubernetes import kubernetes
from airflow_conda_flow.flow.decorators.parallel import parallel, pytorch_parallel
from airflow_conda_flow.flow.decorators.project import project
from airflow_conda_flow.flow.decorators.resources import resources
from airflow_conda_flow.flow.decorators.retry import retry
from airflow_conda_flow.flow.decorators.schedule import schedule
from airflow_conda_flow.flow.decorators.secrets import secrets
from airflow_conda_flow.flow.decorators.timeout import timeout
from airflow_conda_flow.flow.decorators.trigger import namespaced_event_name, trigger, trigger_on_finish
from airflow_conda_flow.flow.extending.user_decorators import (
    USER_SKIP_STEP,
    FlowMutator,
    StepMutator,
    UserStepDecorator,
    user_step_decorator,
)
from airflow_conda_flow.flow.parameters.config_value import ConfigValue
from airflow_conda_flow.flow.parameters.delayed_value import config_expr
from airflow_conda_flow.flow.parameters.include_file import IncludeFile
from airflow_conda_flow.flow.parameters.parameters import JSONType, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING or sys.version_info < (3, 7):
    # Python 3.6 has no module-level __getattr__, so the names are imported at once.
    from airflow_conda_flow import cards as cards
    from airflow_conda_flow import client as client
    from airflow_conda_flow import datatools as datatools
    from airflow_conda_flow import exception as exception
    from airflow_conda_flow.client.data_artifact import DataArtifact
    from airflow_conda_flow.client.past_flow import Flow, Metaflow
    from airflow_conda_flow.client.past_run import Run
    from airflow_conda_flow.client.past_step import Step
    from airflow_conda_flow.client.past_task import Task
    from airflow_conda_flow.client.scope import (
        default_metadata,
        default_namespace,
        get_metadata,
        get_namespace,
        metadata,
        namespace,
    )
    from airflow_conda_flow.client.spin_results import inspect_spin
    from airflow_conda_flow.datatools.s3 import S3
    from airflow_conda_flow.flow.extending.mutable_flow import MutableFlow
    from airflow_conda_flow.flow.extending.mutable_step import MutableStep
    from airflow_conda_flow.flow.parameters.config_parsers import (
        conda_environment_yml_parser,
        pyproject_toml_parser,
        requirements_txt_parser,
        yaml_parser,
    )
    from airflow_conda_flow.flow.profile import profile
    from airflow_conda_flow.metaflow import version as metaflow_version
    from airflow_conda_flow.runtime.forked import parallel_imap_unordered, parallel_map
    from airflow_conda_flow.runtime.inputs import Inputs
if sys.version_info < (3, 7):
    from airflow_conda_flow.metaflow.launch_stand_in import stand_in

    DeployedFlow, Deployer, NBRunner, Runner = map(
        stand_in, ("DeployedFlow", "Deployer", "NBRunner", "Runner")
    )
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from airflow_conda_flow.launch.deployed_flow import DeployedFlow
    from airflow_conda_flow.launch.deployer import Deployer
    from airflow_conda_flow.launch.notebook import NBRunner
    from airflow_conda_flow.launch.runner import Runner

explain_absent_modules()

__all__ = [
    "S3",
    "USER_SKIP_STEP",
    "Config",
    "ConfigValue",
    "DataArtifact",
    "DeployedFlow",
    "Deployer",
    "Flow",
    "FlowMutator",
    "FlowSpec",
    "IncludeFile",
    "Inputs",
    "JSONType",
    "Metaflow",
    "MutableFlow",
    "MutableStep",
    "NBRunner",
    "Parameter",
    "Run",
    "Runner",
    "Step",
    "StepMutator",
    "Task",
    "UserStepDecorator",
    "airflow_external_task_sensor",
    "airflow_s3_key_sensor",
    "airflow_task",
    "aws_credentials",
    "batch",
    "card",
    "catch",
    "conda",
    "conda_base",
    "conda_environment_yml_parser",
    "config_expr",
    "current",
    "default_metadata",
    "default_namespace",
    "environment",
    "exit_hook",
    "get_metadata",
    "get_namespace",
    "inspect_spin",
    "kubernetes",
    "metadata",
    "metaflow_version",
    "namespace",
    "namespaced_event_name",
    "parallel",
    "parallel_imap_unordered",
    "parallel_map",
    "profile",
    "project",
    "pypi",
    "pypi_base",
    "pyproject_toml_parser",
    "pytorch_parallel",
    "requirements_txt_parser",
    "resources",
    "retry",
    "schedule",
    "secrets",
    "step",
    "timeout",
    "trigger",
    "trigger_on_finish",
    "user_step_decorator",
    "yaml_parser",
]

_LATER = {
    "DataArtifact": "client.data_artifact",
    "DeployedFlow": "launch.deployed_flow",
    "Deployer": "launch.deployer",
    "Flow": "client.past_flow",
    "Inputs": "runtime.inputs",
    "Metaflow": "client.past_flow",
    "MutableFlow": "flow.extending.mutable_flow",
    "MutableStep": "flow.extending.mutable_step",
    "NBRunner": "launch.notebook",
    "Run": "client.past_run",
    "Runner": "launch.runner",
    "S3": "datatools.s3",
    "Step": "client.past_step",
    "Task": "client.past_task",
    "conda_environment_yml_parser": "flow.parameters.config_parsers",
    "default_metadata": "client.scope",
    "default_namespace": "client.scope",
    "get_metadata": "client.scope",
    "get_namespace": "client.scope",
    "inspect_spin": "client.spin_results",
    "metadata": "client.scope",
    "namespace": "client.scope",
    "parallel_imap_unordered": "runtime.forked",
    "parallel_map": "runtime.forked",
    "profile": "flow.profile",
    "pyproject_toml_parser": "flow.parameters.config_parsers",
    "requirements_txt_parser": "flow.parameters.config_parsers",
    "yaml_parser": "flow.parameters.config_parsers",
}
"""Module of each name that is imported on first use, because few flow files need it."""

_MODULES = ("cards", "client", "datatools", "exception", "metaflow_version")
"""Modules that are attributes of the package without an explicit import, as in Metaflow."""


def _say_what_to_write(name: str, is_import: bool = False) -> None:
    from airflow_conda_flow.metaflow.names import INNER, INSTEAD  # noqa: PLC0415 - only for an unknown name

    known = dict(INNER, **INSTEAD) if is_import else INSTEAD
    found = known.get(name) or known.get(name.partition(".")[0])  # a submodule gets its package's advice
    if found:  # an ImportError: ``from ... import name`` drops the message of an AttributeError
        from airflow_conda_flow.flow.unknown_names import unknown_name  # noqa: PLC0415 - only for an unknown name

        raise unknown_name("Metaflow's %s is not here: %s." % (name, found))


class _NamesOfMetaflow:
    """Last finder on ``sys.meta_path``: asked for modules of this package that no other finder has.

    On Python 3.6 it is also asked for names, because the package has no ``__getattr__`` there.
    """

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG004 - importlib's signature
        """Spec of a Metaflow module; None if the name is not one.

        Raises:
            UnknownName: Metaflow has the name and this package does not, or the name is misspelt.
        """
        package, _, name = fullname.partition(".")
        if package != __name__ or not name:
            return None
        from airflow_conda_flow.metaflow.modules import spec_of  # noqa: PLC0415 - few flow files use these modules

        spec = spec_of(name)
        if spec is None:
            _say_what_to_write(name, is_import=True)
            from airflow_conda_flow.flow.unknown_names import misspelt, unknown_name  # noqa: PLC0415 - only for an unknown name

            message = misspelt(__name__, name, __all__) if "." not in name else ""
            if message:  # the last thing that ``from airflow_conda_flow import name`` tries is a module
                raise unknown_name(message)
        return spec


sys.meta_path.append(_NamesOfMetaflow)


if not TYPE_CHECKING:  # otherwise a type checker would accept any name

    def __getattr__(name: str) -> object:
        import importlib  # noqa: PLC0415 - only for names imported on first use

        if name in _MODULES:
            return importlib.import_module("airflow_conda_flow." + name)
        if name not in _LATER:
            from airflow_conda_flow.metaflow.modules import spec_of  # noqa: PLC0415 - few flow files use these modules

            if spec_of(name) is not None:
                return importlib.import_module("airflow_conda_flow." + name)
            _say_what_to_write(name)
            from airflow_conda_flow.flow.unknown_names import missing_attribute  # noqa: PLC0415 - only for an unknown name

            raise missing_attribute(__name__, name, __all__)
        try:
            value = getattr(importlib.import_module("airflow_conda_flow." + _LATER[name]), name)
        except ImportError as error:
            if error.name != "airflow_conda_flow.launch":
                raise
            # Step environments do not have launch/. A flow file may still import Runner at its top and use it
            # only when it runs as a program, so the import must succeed.
            value = importlib.import_module("airflow_conda_flow.metaflow.launch_stand_in").stand_in(name)
        globals()[name] = value
        return value


def __dir__() -> "list[str]":
    return sorted(set(globals()) | set(__all__))
