"""Environment variables that are ours and no settings: of a program, of a job, of a runner."""

from airflow_conda_flow.settings.airflow_api import TOKEN_VARIABLE, URL_VARIABLE

CONFIG = "CONDA_FLOW_CONFIG"
"""Files of ``Config`` parameters, on a flow's command line."""
CONFIG_VALUE = "CONDA_FLOW_CONFIG_VALUE"
"""Values of ``Config`` parameters, on a flow's command line."""
REQUEST = "CONDA_FLOW_REQUEST"
"""The request of a job: the attempt that its runner runs."""
RUNNER_ARCHIVE = "CONDA_FLOW_RUNNER"
"""The s3:// URL of the runner's archive, for containers whose image may not have the runner."""
TEMPDIR = "CONDA_FLOW_TEMPDIR"
"""Where a runner makes the temporary files of its step."""

NO_SETTINGS = (URL_VARIABLE, TOKEN_VARIABLE, CONFIG, CONFIG_VALUE, REQUEST, RUNNER_ARCHIVE, TEMPDIR)
"""All of them, so that none is taken for a misspelt setting."""
