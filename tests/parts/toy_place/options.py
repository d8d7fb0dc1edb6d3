"""Settings of toys."""

from airflow_conda_flow.settings.option import Option

TOY_OPTIONS = (Option("toy_box", "/tmp/toys", "The directory in which toys lie."),)
