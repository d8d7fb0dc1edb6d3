"""``Deployer``: finds a flow file's DAG in Airflow, so that a program can trigger it.

Nothing is copied to Airflow: the flow file itself is the DAG, and gets into the dags folder as others do.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_conda_flow.errors import LaunchError
from airflow_conda_flow.launch.airflow_api import AirflowApi, Refused
from airflow_conda_flow.launch.deployed_flow import DeployedFlow, dag_of, flow_dags
from airflow_conda_flow.launch.flow_command import FlowCommand
from airflow_conda_flow.launch.option_words import option_words
from airflow_conda_flow.records.dag_names import dag_id_of
from airflow_conda_flow.settings.airflow_api import TOKEN_VARIABLE, airflow_api_place
from airflow_conda_flow.settings.loading import load_settings

if TYPE_CHECKING:
    from typing_extensions import Self

_BRANCH_TAG = "project_branch:"


class Deployer:
    """A flow file whose DAG is in Airflow: ``Deployer("flow.py").airflow().create().trigger(alpha=0.1)``.

    Args:
        flow_file: path of the flow file, absolute or relative to the current directory.
        show_output: accepted for compatibility: nothing is printed.
        profile: name of the Metaflow profile, which selects ``config_<profile>.json``.
        env: additional environment variables, such as ``CONDA_FLOW_AIRFLOW_API_URL``.
        cwd: directory to run the flow file in, to ask for its name; the current one if None.
        file_read_timeout: accepted for compatibility and ignored.
        options: options before the command, such as ``branch="main"``, ``production=True``.

    Raises:
        LaunchError: the flow file does not exist.
    """

    def __init__(
        self,
        flow_file: str | os.PathLike[str],
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        file_read_timeout: float = 3600,
        **options: Any,
    ) -> None:
        del show_output, file_read_timeout
        self.flow_file = Path(flow_file).absolute()
        if not self.flow_file.is_file():
            raise LaunchError(
                f"Deployer({str(flow_file)!r}): there is no such file in {Path.cwd()}. Name a flow file."
            )
        self._environ = {**os.environ, **(env or {})}
        if profile is not None:
            self._environ["METAFLOW_PROFILE"] = profile
        self._cwd = None if cwd is None else os.fspath(cwd)
        self._options = options

    def airflow(self, dag_id: str | None = None) -> AirflowDeployer:
        """Deployer to the Airflow of the settings.

        Args:
            dag_id: id of the DAG, if the flow file gives it one with ``dag(dag_id=...)``.

        Raises:
            SettingError: the address of Airflow's API is wrong.
        """
        return AirflowDeployer(self.flow_file, self._environ, self._cwd, self._options, dag_id)

    def argo_workflows(self, **_keywords: Any) -> NoReturn:
        """Raise: flows are deployed to Airflow alone."""
        self._refuse("argo_workflows")

    def step_functions(self, **_keywords: Any) -> NoReturn:
        """Raise: flows are deployed to Airflow alone."""
        self._refuse("step_functions")

    @staticmethod
    def _refuse(kind: str) -> NoReturn:
        raise LaunchError(f"Deployer(...).{kind}() is not here: write Deployer(...).airflow().")


class AirflowDeployer:
    """Deployer of one flow file to Airflow; see ``Deployer``."""

    def __init__(
        self,
        flow_file: Path,
        environ: Mapping[str, str],
        cwd: str | None,
        options: Mapping[str, Any],
        dag_id: str | None,
    ) -> None:
        self._file = flow_file
        self._environ = environ
        self._cwd = cwd
        self._options = options
        self._dag_id = dag_id
        self._api = AirflowApi(airflow_api_place(environ))

    def create(self, paused: bool = False) -> DeployedFlow:
        """Find the flow's DAG in Airflow and unpause it, so that its schedule and triggered runs start.

        Args:
            paused: leave the DAG paused, or not, as it is.

        Raises:
            LaunchError: the flow file cannot be read, or Airflow has no DAG of it.
        """
        flow = self._flow_name()
        dag = self._dag(flow) if self._dag_id is None else dag_of(self._api, self._dag_id)
        dag_id = str(dag["dag_id"])
        if dag.get("is_paused") and not paused:
            self._api.patch("dags", dag_id, body={"is_paused": False})
        settings = load_settings(environ=self._environ)
        return DeployedFlow(self._api, dag_id, flow, f"{settings.datastore}@{settings.datastore_root}")

    def _flow_name(self) -> str:
        """Name of the flow: its file is run, because only Python knows what it defines."""
        with tempfile.TemporaryDirectory(prefix="conda-flow-deployer-") as directory:
            environ = {name: value for name, value in self._environ.items() if name != TOKEN_VARIABLE}
            words = [sys.executable, str(self._file), *option_words(self._options), "output-raw"]
            command = FlowCommand(words, Path(directory), environ, self._cwd)
            command.follow(show=False)
            if command.returncode:
                said = command.text("stderr").strip() or command.text("stdout").strip()
                raise LaunchError(f"{self._file} cannot be deployed:\n{said}")
            text = command.text("stdout")
        try:
            return str(json.loads(text[text.index("{") :])["name"])
        except (ValueError, KeyError):
            raise LaunchError(
                f"{self._file} does not act as a flow file: `output-raw` prints {text.strip()[:200]!r}. End "
                'it with if __name__ == "__main__": MyFlow(), and print nothing outside of steps.'
            ) from None

    def _dag(self, flow: str) -> dict[str, Any]:
        """The flow's DAG by its usual id, with or without project and branch before it."""
        usual = dag_id_of(flow)
        found = [
            dag
            for dag in flow_dags(self._api, dag_id_pattern=f"%{usual}")
            if dag["dag_id"] == usual or dag["dag_id"].endswith(f".{usual}")
        ]
        found = [dag for dag in found if self._is_of_branch(dag)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(each["dag_id"] for each in found)
            raise LaunchError(
                f"Airflow at {self._api.url} has several DAGs of {flow}: {names}. Give Deployer branch= or "
                "production=, or name one: airflow(dag_id=...)."
            )
        problem = self._import_problem()
        if problem:
            raise LaunchError(f"Airflow at {self._api.url} cannot import {self._file.name}: {problem}")
        raise LaunchError(
            f"Airflow at {self._api.url} has no DAG {usual!r} of {flow}. The flow file is the DAG: end "
            f"it with `dag = {flow}.dag()` and put it into Airflow's dags folder, where it is found "
            "after a while. If it gives another dag_id, write it: airflow(dag_id=...)."
        )

    def _is_of_branch(self, dag: Mapping[str, Any]) -> bool:
        branch, production = self._options.get("branch"), self._options.get("production")
        if branch is None and not production:
            return True
        names = [each["name"] for each in dag.get("tags") or ()]
        place = "prod" if production else "test"
        return f"{_BRANCH_TAG}{place}" + (f".{branch}" if branch else "") in names

    def _import_problem(self) -> str | None:
        """Last line of the error with which Airflow could not import a file of this name, or None."""
        try:
            errors = self._api.get("importErrors", limit=100).get("import_errors") or []
        except Refused:  # not everybody may read them, and there is a message without them
            return None
        for each in errors:
            if Path(str(each.get("filename"))).name == self._file.name:
                return str(each.get("stack_trace") or "").strip().rpartition("\n")[2]
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Do nothing: nothing is left behind. Scripts for Metaflow call it."""
