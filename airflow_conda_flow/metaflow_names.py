"""Names of Metaflow's that are not here, and what to write in their place.

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

_SENSOR = "put the flow's DAG behind Airflow's own sensor, or start it with @trigger"
_DEPLOYER = "the flow file itself is the DAG: end it with dag = MyFlow.dag()"
_TOP = "write from airflow_conda_flow import %s"
_PLUGIN = "Metaflow's own parts are not here; what flows need of them is at the top level"

INSTEAD = {
    "S3": "use boto3, or s3fs, with @conda(libraries={'boto3': ...}); artifacts go to S3 by themselves "
    "with --datastore s3",
    "DeployedFlow": _DEPLOYER,
    "NBDeployer": _DEPLOYER,
    "JSONTypeClass": "write JSONType",
    "parameters": _TOP % "Parameter, JSONType",
    "includefile": _TOP % "IncludeFile",
    "flowspec": _TOP % "FlowSpec",
    "metaflow_current": _TOP % "current",
    "user_decorators": _TOP % "FlowMutator, StepMutator, UserStepDecorator, user_step_decorator",
    "airflow_external_task_sensor": _SENSOR,
    "airflow_s3_key_sensor": _SENSOR,
    "pytorch_parallel": "write @parallel and read current.parallel",
    "metaflow_config": "settings are CONDA_FLOW_... variables; see the README",
    "plugins": _PLUGIN,
    "integrations": "update the Airflow asset of the event's name, with Airflow's API, for ArgoEvent",
    "datatools": "use boto3, or s3fs, with @conda(libraries={'boto3': ...})",
    "decorators": "write a step decorator with @user_step_decorator, or a StepMutator",
    "util": _PLUGIN,
}
"""What to write instead, by name."""
