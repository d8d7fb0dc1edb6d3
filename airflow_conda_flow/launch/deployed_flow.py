"""``DeployedFlow`` and ``TriggeredRun``: a flow's DAG in Airflow, and a DAG run that a program started."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

from airflow_conda_flow.client import scope
from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.stored_object import restored
from airflow_conda_flow.errors import LaunchError, LaunchTimeout
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.launch.airflow_api import AirflowApi, Refused
from airflow_conda_flow.records.dag_names import DAG_TAG, PREPARE_TASK, flow_run_id
from airflow_conda_flow.settings.airflow_api import airflow_api_place

AIRFLOW = "airflow"
"""Name of the only orchestrator that flows can be deployed to here."""
_PAUSE = 1.0
"""Seconds between two questions whether a run has begun: a solve alone takes longer."""
_ENDED = ("success", "failed")
_TRIES = 3  # for a logical date that no other run of the DAG has


class TriggeredRun:
    """A DAG run in Airflow that a program started.

    Args:
        api: the API server that knows it.
        dag_id: id of the DAG.
        dag_run_id: id of the DAG run, as Airflow shows it.
        flow: name of the flow; None to look for the run among all flows.
        where: name of the datastore, as ``get_metadata`` returns it; None for that of the settings.
    """

    def __init__(
        self, api: AirflowApi, dag_id: str, dag_run_id: str, flow: str | None, where: str | None
    ) -> None:
        self._api = api
        self.dag_id = dag_id
        self.dag_run_id = dag_run_id
        self._flow = flow
        self._where = where
        self._run: Run | None = None

    @property
    def name(self) -> str:
        """Id of the DAG run, as Airflow shows it."""
        return self.dag_run_id

    @property
    def run_id(self) -> str:
        """Id of the run, as the client and the command line show it."""
        return flow_run_id(self.dag_id, self.dag_run_id)

    @property
    def pathspec(self) -> str | None:
        """``Flow/run id``; None as long as the run has not begun, if the flow's name is not known."""
        if self._flow is None and self.run is None:
            return None
        return f"{self._flow}/{self.run_id}"

    @property
    def url(self) -> str:
        """Page of the DAG run in Airflow's UI."""
        return f"{self._api.url}/dags/{self.dag_id}/runs/{self.dag_run_id}"

    @property
    def status(self) -> str:
        """State of the DAG run in Airflow: ``queued``, ``running``, ``success`` or ``failed``.

        Raises:
            LaunchError: Airflow cannot be asked, or has no such run.
        """
        return str(self._api.get("dags", self.dag_id, "dagRuns", self.dag_run_id)["state"])

    @property
    def is_running(self) -> bool:
        """True until the DAG run has ended, also while it is queued."""
        return self.status not in _ENDED

    @property
    def run(self) -> Run | None:
        """Run as an object of the client; None until the DAG's first task of ours has prepared it."""
        if self._run is None:
            catalogue = scope.catalogue(self._where)
            flows = catalogue.call("flows", []) if self._flow is None else [self._flow]
            for flow in flows:
                if catalogue.call("run", [flow, self.run_id]) is not None:
                    self._flow = flow
                    self._run = restored(Run, f"{flow}/{self.run_id}", None, self._where, None)
                    break
        return self._run

    def wait_for_run(self, timeout: float | None = None) -> Run:
        """Wait until the run has begun, and return it.

        Args:
            timeout: seconds to wait; None to wait until the DAG run has ended.

        Raises:
            LaunchTimeout: the run has not begun in time.
            LaunchError: the DAG run has ended, and the datastore has no such run.
        """

        def begun() -> Run | None:
            ended = not self.is_running  # first: a run that begins after the question is found the next time
            if self.run is None and ended:
                datastore = scope.catalogue(self._where).call("describe", [])
                raise LaunchError(
                    f"The DAG run {self.dag_run_id} has ended ({self.status}), and {datastore} has no run "
                    f"{self.run_id}. If the log of the task {PREPARE_TASK!r} shows no error, Airflow uses "
                    f"another datastore: set the same one here. {self.url}"
                )
            return self.run

        run: Run = self._wait(begun, _PAUSE, timeout, "has not begun")
        return run

    def wait_for_completion(self, check_interval: float = 5, timeout: float | None = None) -> None:
        """Wait until the DAG run has ended, successful or failed; ``status`` says which.

        Args:
            check_interval: seconds between two questions.
            timeout: seconds to wait; None for no limit.

        Raises:
            LaunchTimeout: it has not ended in time.
        """
        self._wait(lambda: None if self.is_running else True, check_interval, timeout, "has not ended")

    def terminate(self) -> bool:
        """End the DAG run as failed, with all its tasks; True unless it had ended before.

        Raises:
            LaunchError: Airflow refuses.
        """
        if not self.is_running:
            return False
        self._api.patch("dags", self.dag_id, "dagRuns", self.dag_run_id, body={"state": "failed"})
        return True

    def _wait(self, ask: Callable[[], Any], pause: float, timeout: float | None, what: str) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            found = ask()
            if found is not None:
                return found
            if deadline is not None and time.monotonic() + pause > deadline:
                # The last look is at the deadline itself, and not a pause before it.
                time.sleep(max(0.0, deadline - time.monotonic()))
                found = ask()
                if found is not None:
                    return found
                raise LaunchTimeout(
                    f"The DAG run {self.dag_run_id} of {self.dag_id} {what} after {timeout:g} seconds; it is "
                    f"{self.status}. {self.url}"
                )
            time.sleep(pause)

    def __repr__(self) -> str:
        return f"<TriggeredRun {self.dag_run_id!r} of {self.dag_id!r}>"


class DeployedFlow:
    """A flow's DAG that Airflow has, from ``Deployer(...).airflow().create()`` or ``from_deployment``.

    Args:
        api: the API server that knows it.
        dag_id: id of the DAG.
        flow: name of the flow; None if it is not known.
        where: name of the datastore, as ``get_metadata`` returns it; None for that of the settings.
    """

    def __init__(
        self, api: AirflowApi, dag_id: str, flow: str | None = None, where: str | None = None
    ) -> None:
        self._api = api
        self.dag_id = dag_id
        self.flow_name = flow
        self._where = where

    @classmethod
    def from_deployment(
        cls, identifier: str, metadata: str | None = None, impl: str = AIRFLOW
    ) -> DeployedFlow:
        """Flow that Airflow has, by the id of its DAG; its file is not needed.

        Args:
            identifier: id of the DAG, such as ``train_flow`` or ``my_project.prod.train_flow``.
            metadata: name of the datastore, as ``get_metadata`` returns it; None for that of the settings.
            impl: ``airflow``.

        Raises:
            LaunchError: Airflow cannot be asked, or has no such flow.
        """
        _check_kind(impl)
        api = AirflowApi(airflow_api_place())
        dag_of(api, identifier)
        return cls(api, identifier, None, metadata)

    @classmethod
    def get_triggered_run(
        cls, identifier: str, run_id: str, metadata: str | None = None, impl: str = AIRFLOW
    ) -> TriggeredRun:
        """DAG run by the ids of its DAG and of itself, as Airflow shows them.

        Args:
            identifier: id of the DAG.
            run_id: id of the DAG run, such as ``manual__2026-11-24T02:00:00+00:00``.
            metadata: as for ``from_deployment``.
            impl: ``airflow``.

        Raises:
            LaunchError: Airflow cannot be asked, or has no such DAG run.
        """
        _check_kind(impl)
        run = TriggeredRun(AirflowApi(airflow_api_place()), identifier, run_id, None, metadata)
        run.status  # noqa: B018 - raises if there is none
        return run

    @property
    def name(self) -> str:
        """Id of the DAG."""
        return self.dag_id

    def trigger(self, **parameters: Any) -> TriggeredRun:
        """Start a DAG run.

        Args:
            parameters: parameters of the flow, with ``_`` for ``-`` in names; None leaves one out. Values
                that JSON does not know, such as paths, become text.

        Raises:
            LaunchError: Airflow refuses, the DAG is paused, or it has no such parameter.
        """
        details = self._api.get("dags", self.dag_id, "details")
        if details.get("is_paused"):
            raise LaunchError(
                f"The DAG {self.dag_id} is paused, so that a run would not start. Unpause it in Airflow, or "
                "deploy the flow with Deployer(...).airflow().create(), which does so."
            )
        conf = self._conf(parameters, details.get("params") or {})
        for _ in range(_TRIES):
            moment = datetime.now(timezone.utc).isoformat()
            # An id of our own: a request that is repeated after a lost answer starts no second run.
            dag_run_id = f"manual__{moment}_{secrets.token_hex(4)}"
            body = {"dag_run_id": dag_run_id, "logical_date": moment, "conf": conf}
            run = TriggeredRun(self._api, self.dag_id, dag_run_id, self.flow_name, self._where)
            try:
                self._api.post("dags", self.dag_id, "dagRuns", body=body)
            except Refused as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
                if error.is_repeated and self._has(run):
                    return run
                refused = error  # another run has the logical date: a DAG has one run for each
            else:
                return run
        raise refused

    def _has(self, run: TriggeredRun) -> bool:
        try:
            run.status  # noqa: B018 - raises if there is none
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _conf(self, parameters: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        """Conf of the DAG run, by the names that the DAG has."""
        spelled = {name.replace("-", "_"): name for name in known}
        for name in parameters:
            if name not in known and name not in spelled:
                raise LaunchError(
                    f"{self.dag_id} has no parameter {name!r}.{nearest(name, known)} It has: "
                    f"{', '.join(sorted(known)) or 'none'}."
                )
        conf = {
            name if name in known else spelled[name]: value
            for name, value in parameters.items()
            if value is not None
        }
        for name, value in conf.items():
            try:
                conf[name] = json.loads(json.dumps(value, default=str, allow_nan=False))
            except (TypeError, ValueError) as error:
                raise LaunchError(
                    f"The parameter {name!r} of {self.dag_id} cannot be sent as JSON: {error}."
                ) from error
        return conf

    def __repr__(self) -> str:
        return f"<DeployedFlow {self.dag_id!r} in {self._api.url}>"


def dag_of(api: AirflowApi, dag_id: str) -> dict[str, Any]:
    """Airflow's description of a flow's DAG.

    Raises:
        LaunchError: there is no such DAG, or it is not one of a flow.
    """
    try:
        dag = api.get("dags", dag_id)
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        known = [each["dag_id"] for each in flow_dags(api)]
        raise LaunchError(
            f"Airflow at {api.url} has no DAG {dag_id!r}.{nearest(dag_id, known)} Its flows are: "
            f"{', '.join(known) or 'none'}."
        ) from None
    if not _is_of_flow(dag):
        raise LaunchError(f"The DAG {dag_id!r} is not one of a flow: it lacks the tag {DAG_TAG!r}.")
    return dag


def flow_dags(api: AirflowApi, **query: Any) -> list[dict[str, Any]]:
    """Airflow's descriptions of the DAGs of flows, by their ids.

    Args:
        api: the API server.
        query: further conditions, such as ``dag_id_pattern``.
    """
    found: list[dict[str, Any]] = []
    while True:
        answer = api.get("dags", tags=DAG_TAG, order_by="dag_id", limit=100, offset=len(found), **query)
        dags = answer.get("dags") or []
        found += dags
        if not dags or len(found) >= int(answer.get("total_entries") or 0):
            return [each for each in found if _is_of_flow(each)]


def _is_of_flow(dag: Mapping[str, Any]) -> bool:
    return any(each.get("name") == DAG_TAG for each in dag.get("tags") or ())


def _check_kind(impl: str) -> None:
    if impl != AIRFLOW:
        raise LaunchError(f"impl is {impl!r}; flows are deployed to Airflow alone: write impl={AIRFLOW!r}.")
