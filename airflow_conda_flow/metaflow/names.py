"""Metaflow's names and modules that this package does not have, and what to write instead.

``from airflow_conda_flow import model`` and ``import airflow_conda_flow.plugins.x`` fail with this advice.
Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

_DEPLOYER = "write Deployer(flow_file).airflow(), for a flow file in Airflow's dags folder"
_TOP = "write from airflow_conda_flow import %s"
_CLIENT = _TOP % "Flow, Run, Step, Task, DataArtifact"
_PLUGIN = "what flows need of Metaflow's own parts is in airflow_conda_flow itself, or in its cards"
_SETTINGS = "settings are CONDA_FLOW_... variables; see the README"
_EXTENSION = "it is of an extension; write a decorator of your own with @user_step_decorator"
_USER_DECORATORS = _TOP % "FlowMutator, StepMutator, UserStepDecorator, user_step_decorator"

INSTEAD = {
    "ArtifactSerializer": "give the class __reduce__ or __getstate__, or register it with copyreg",
    "R": "a step may start Rscript, with r-base from @conda",
    "NBDeployer": _DEPLOYER,
    "JSONTypeClass": "write JSONType",
    "checkpoint": _EXTENSION,
    "client.core": _CLIENT,
    "client.filecache": _CLIENT,
    "deepspeed": _EXTENSION,
    "decorators": "write a step decorator with @user_step_decorator, or a StepMutator",
    "events": "current.trigger is the object; its events have name, id, timestamp and type",
    "fast_bakery": _EXTENSION,
    "flowspec": _TOP % "FlowSpec",
    "gpu_profile": _EXTENSION,
    "huggingface_hub": _EXTENSION,
    "includefile": _TOP % "IncludeFile",
    "integrations": "update the Airflow asset of the event's name, with Airflow's API, for ArgoEvent",
    "metaflow_config": _SETTINGS,
    "metaflow_config_funcs": _SETTINGS,
    "metaflow_current": _TOP % "current",
    "metaflow_profile": _TOP % "profile",
    "metaflow_ray": _EXTENSION,
    "model": _EXTENSION,
    "mpi": _EXTENSION,
    "multicore_utils": _TOP % "parallel_map, parallel_imap_unordered",
    "nvidia": _EXTENSION,
    "package_sources": "name the modules in the setting package_modules",
    "parameters": _TOP % "Parameter, JSONType",
    "plugins": _PLUGIN,
    "profilers": _EXTENSION,
    "runner.deployer": _TOP % "Deployer, DeployedFlow",
    "runner.metaflow_runner": _TOP % "Runner",
    "runner.nbdeploy": _DEPLOYER,
    "runner.nbrun": _TOP % "NBRunner",
    "slurm": _EXTENSION,
    "torchrun": "write @pytorch_parallel, and start torchrun with subprocess; see docs/flows.md",
    "user_configs": _TOP % "Config, ConfigValue, config_expr",
    "user_decorators": _USER_DECORATORS,
    "util": _PLUGIN,
}
"""Advice by name; submodules are given with dots."""

INNER = dict.fromkeys(
    [
        "cli_args",
        "cli_components",
        "clone_util",
        "cmd",
        "cmd_with_io",
        "debug",
        "event_logger",
        "extension_support",
        "graph",
        "lint",
        "meta_files",
        "metadata_provider",
        "metaflow_environment",
        "metaflow_git",
        "mflog",
        "monitor",
        "package",
        "packaging_sys",
        "procpoll",
        "pylint_wrapper",
        "sidecar",
        "system",
        "system_context",
        "tagging_util",
        "task",
        "tracing",
        "tuple_util",
        "unbounded_foreach",
        "vendor",
    ],
    _PLUGIN,
)
INNER.update(
    _vendor="import the library itself, and name it in @conda or @pypi",
    tutorials="there are flows to begin with in the folder dags/ of the sources",
    version="write from airflow_conda_flow import metaflow_version",
)
"""Advice for Metaflow's internal modules.

It is given for imports only. Attribute access, such as ``hasattr(airflow_conda_flow, "task")``, gets an
ordinary ``AttributeError``.
"""
