"""Operators of a compiled flow that run no step: they prepare the run and join the splits of foreaches."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from airflow_conda_flow.airflow.block_settings import check_block_settings, sharing
from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.dag.parameters import given_values
from airflow_conda_flow.airflow.dag.schedules import event_parameters
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.identity import attempt_of, flow_run_id
from airflow_conda_flow.airflow.operators.log_progress import LogProgress
from airflow_conda_flow.airflow.operators.run_values import run_values
from airflow_conda_flow.airflow.splits import Element, mapped_over, ranges_of
from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.datastore.manifests import keep_revision, read_run_manifest
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import CondaFlowError, DamagedDocument, NotInDatastore
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.flow.parameters.config_input import GivenConfigs
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.run_preparation import first_attempt, prepare_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.airflow.dag.facts import Facts


class PrepareOperator(BaseOperator):
    """Operator that solves a flow's environments, stores its code package and writes the run manifest.

    Args:
        flow_class: the flow.
        environment: ``conda``, or ``local`` for steps in the worker's own interpreter.
        given: files and values that the DAG gives for the flow's configs.
        decorators: texts of decorators to attach to every step, as ``--with`` does.
        project: branch, production and user of a flow with ``@project``.
        facts: what Airflow shows of the flow among the rendered fields.
    """

    template_fields: Sequence[str] = ("facts",)
    ui_color = "#e4f0e8"

    def __init__(
        self,
        *,
        flow_class: type[Any],
        environment: Literal["conda", "local"],
        given: GivenConfigs | None = None,
        decorators: Sequence[str] = (),
        project: tuple[str | None, bool, str | None] = (None, False, None),
        facts: Facts | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow_class = flow_class
        self.environment = environment
        self.given = given
        self.decorators = decorators
        self.project = project
        self.facts = facts

    def execute(self, context: Context) -> dict[str, str]:
        """Prepare the run; a later try prepares it anew, from the flow file as it is then.

        Returns:
            the run's name, and the digest of its record. It travels to the steps as an XCom, which nobody can
            change who may write the datastore alone.
        """
        try:
            run = self._prepare(context, None)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        return {"run": f"{run.flow}/{run.run_id}", "sha256": run.sha256}

    def revision(self, context: Context, run: RunRecord) -> RunRecord:
        """The run's record with the flow as it is now; the same record if it has not changed.

        Args:
            context: Airflow's context of the task that asks.
            run: the record of the run as it was prepared.

        Raises:
            CondaFlowError: an environment cannot be solved, or the flow cannot be read.
        """
        return self._prepare(context, run)

    def _prepare(self, context: Context, revises: RunRecord | None) -> RunRecord:
        definition = read_flow(self.flow_class, self.given)
        definition.attach(self.decorators)
        definition.branch, definition.production, definition.user = self.project
        settings = airflow_settings()
        check_block_settings(settings)
        placement = Placement.of(definition.decorators)
        placement.check_reachable(settings)
        datastore, environments = open_stores(settings, LogProgress(self.log))
        run_id = flow_run_id(self.dag_id, context["run_id"])
        is_new = revises is None and _is_new(context)
        if revises is None and not is_new:
            self._keep_former(datastore.storage, definition.name, run_id)
        run = prepare_run(
            definition,
            datastore=datastore,
            environments=environments,
            settings=settings,
            platforms=placement.platforms(settings),
            in_containers=placement.remote_steps,
            run_id=run_id,
            parameters=definition.parameter_values(
                {
                    **given_values(definition.parameters, context["params"], self.dag.params),
                    **event_parameters(definition, context.get("triggering_asset_events") or {}),
                },
                username(),
                settings.datastore,
            ),
            current=run_values(context),
            origin="airflow",
            environment=self.environment,
            runner=placement.runner(definition.decorators, settings, datastore.storage),
            first_attempt=first_attempt(datastore.storage, definition.name, run_id, is_new=is_new),
            revises=revises,
        )
        for place in placement.places():
            if place.prepare is not None:
                there = {step: definition.decorators[step] for step in placement.steps_of(place.name)}
                place.load("prepare")(there, settings, datastore.storage)
        if revises is not None:
            return run
        self.log.info("Prepared run %s/%s in %s", definition.name, run_id, datastore.storage.url)
        for step, environment in run.environments.items():
            self.log.info(
                "Step %s: Python %s, environment %s",
                step,
                environment["python"],
                environment["id"][:12],
            )
        return run

    def _keep_former(self, storage: Storage, flow: str, run_id: str) -> None:
        """Keep the record of an earlier try, by which tasks may have started."""
        with contextlib.suppress(NotInDatastore, DamagedDocument):
            keep_revision(storage, read_run_manifest(storage, flow, run_id))


def _is_new(context: Context) -> bool:
    """True if no step of this DAG run can have run: a manifest is that of a deleted DAG run with the same id.

    Steps run after the task that prepares the run has succeeded, and only a person who clears it makes it run
    again then.
    """
    cleared = getattr(context["dag_run"], "clear_number", None)
    return not cleared if cleared is not None else attempt_of(context["ti"].try_number) == 0


class FanOutOperator(BaseOperator):
    """Operator that joins the splits of a nested foreach into one list, which the next step is mapped over.

    Args:
        splits: the ranges of splits that each task of the mapped step returned.
    """

    template_fields: Sequence[str] = ("splits",)
    ui_color = "#eeeeee"

    def __init__(self, *, splits: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.splits = splits

    def execute(self, context: Context) -> list[Element]:
        """Return the splits of all tasks together, in order: one by one, or in blocks if there are many."""
        del context
        # Airflow's sequence of a mapped task's XComs is lazy. A slice fetches all of it in one request;
        # iterating sends one request per item, and one past the end, which logs an error.
        ranges = [each for value in self.splits[:] for each in ranges_of(value)]
        try:
            return mapped_over(ranges, sharing(airflow_settings()))
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
