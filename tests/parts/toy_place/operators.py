"""Airflow's operators for toys, and the function with which the triggerer follows one."""

from __future__ import annotations

from airflow_conda_flow.airflow.operators.gang import GangTask
from airflow_conda_flow.airflow.operators.remote import RemoteStepTask

from .process import Toy, ToyCompute, folder_of, toy_of


class ToyStepOperator(RemoteStepTask):
    """Runs one step as a toy."""

    watch = "toy_place.operators:watched_toy"

    def connect(self, settings):
        """Nothing is to be connected."""

    def task_left(self, context, tried):
        for folder in folder_of(tried.settings, tried.request).parent.glob("*"):
            toy = Toy(folder, emit=lambda line: self.log.info("%s", line))
            if int(folder.name) >= tried.first and not toy.is_over:
                return toy, int(folder.name)
        return None

    def new_task(self, context, tried):
        storage = tried.datastore.storage
        return toy_of(tried.settings, storage, tried.request, lambda line: self.log.info("%s", line))

    def watch_arguments(self, tried):
        return {}


class ToyGangOperator(GangTask, ToyStepOperator):
    """Runs the nodes of a gang as toys."""

    def compute(self, context, requests, tried, run):
        return ToyCompute(run)


def watched_toy(state, datastore, request):
    """A toy that the triggerer follows."""
    return Toy(state["folder"], read=state["read"])
