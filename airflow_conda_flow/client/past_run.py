"""``Run``: one run of a flow, started from the command line or by Airflow."""

from airflow_conda_flow.client.past_step import Step
from airflow_conda_flow.client.run_code import RunCode
from airflow_conda_flow.client.stored_object import StoredObject, local_time
from airflow_conda_flow.errors import TaggingError
from airflow_conda_flow.flow.current_run import as_trigger
from airflow_conda_flow.records.run_record import TaggedRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import Any

    from airflow_conda_flow.client.past_flow import Flow
    from airflow_conda_flow.client.past_task import Task
    from airflow_conda_flow.client.task_data import TaskData
    from airflow_conda_flow.flow.trigger_events import Trigger
    from airflow_conda_flow.records.graph import FlowGraph


class Run(StoredObject):
    """One run of a flow: ``Run("TrainFlow/1795547131171801")``. Iteration yields its steps, last step first.

    ``run["start"]`` is a step by name. The id of an Airflow DAG run is accepted in place of the run id.
    """

    depth = 2

    if TYPE_CHECKING:

        @property
        def parent(self) -> "Flow":
            """Flow that the run belongs to."""

        def __iter__(self) -> "Iterator[Step]":
            """Iterate over the steps with at least one ended task, last step first."""

        def __getitem__(self, name: str) -> "Step":
            """Step with this name."""

    @classmethod
    def _known(cls, flow: StoredObject, record: TaggedRun) -> "Run":
        made: Run = cls._of(flow, record.run_id)
        made._record = record
        return made

    # Outcome.

    @property
    def data(self) -> "TaskData | None":
        """Artifacts of the last task, as attributes: ``run.data.x``; None if the last step has not run."""
        end = self.end_task
        return None if end is None else end.data

    @property
    def end_task(self) -> "Task | None":
        """Task of the last step; None if that step has not run."""
        step = self._child(self.graph.end)
        return None if step is None else next(iter(step.tasks()), None)

    @property
    def finished(self) -> bool:
        """True if the last task has finished."""
        end = self.end_task
        return end is not None and end.finished

    @property
    def successful(self) -> bool:
        """True if the last task has succeeded."""
        end = self.end_task
        return end is not None and end.successful

    @property
    def created_at(self) -> "datetime":
        """Time when the run started, in this machine's time zone."""
        return local_time(self._run_record().created)

    @property
    def finished_at(self) -> "datetime | None":
        """Time when the last task finished, in this machine's time zone; None if it has not finished."""
        end = self.end_task
        return end.finished_at if end is not None and end.finished else None

    # Definition and origin.

    @property
    def graph(self) -> "FlowGraph":
        """Step graph of the run."""
        return self._run_record().graph

    @property
    def code(self) -> "RunCode":
        """Source code of the run."""
        code = self._run_record().code
        return RunCode(self._catalogue, code["sha256"], code["flow_file"])

    @property
    def runtime_name(self) -> str:
        """Name of the scheduler: ``dev`` for the command line, ``airflow`` for Airflow."""
        origin = self._run_record().origin
        return "dev" if origin == "local" else origin

    @property
    def trigger(self) -> "Trigger | None":
        """Events that started the run, as in ``current.trigger``; None if no event is known."""
        events = self._run_record().current.get("trigger")
        return as_trigger(events) if events else None

    @property
    def origin_pathspec(self) -> "str | None":
        """Pathspec of the run that this one resumed; None if it resumed none."""
        origin = self._run_record().origin_run_id
        return None if origin is None else "%s/%s" % (self._parts[0], origin)

    def steps(self, *tags: str) -> "Iterator[Step]":
        """Steps with an ended task, last step first; empty if the run lacks one of the given tags."""
        return iter(self) if self.tags.issuperset(tags) else iter(())

    # Tags.

    def add_tag(self, tag: "str | Iterable[str]") -> None:
        """Add one tag, or several tags in a single change."""
        self._change(_listed(tag), [])

    def add_tags(self, tags: "Iterable[str]") -> None:
        """Add several tags in a single change."""
        self._change(_listed(tags), [])

    def remove_tag(self, tag: "str | Iterable[str]") -> None:
        """Remove one tag, or several tags in a single change; tags that the run does not have are ignored."""
        self._change([], _listed(tag))

    def remove_tags(self, tags: "Iterable[str]") -> None:
        """Remove several tags in a single change; tags that the run does not have are ignored."""
        self._change([], _listed(tags))

    def replace_tag(self, tag_to_remove: "str | Iterable[str]", tag_to_add: "str | Iterable[str]") -> None:
        """Replace one tag by another in a single change."""
        self._change(_listed(tag_to_add), _listed(tag_to_remove))

    def replace_tags(self, tags_to_remove: "Iterable[str]", tags_to_add: "Iterable[str]") -> None:
        """Replace tags by others in a single change; removals happen first."""
        self._change(_listed(tags_to_add), _listed(tags_to_remove))

    def _change(self, add: "list[str]", remove: "list[str]") -> None:
        flow, run_id = self._parts
        tags = self._catalogue.call("change_tags", [flow, run_id, add, remove])
        self._record = self._run_record().with_user_tags(tags)

    # Children.

    def _load(self) -> None:
        document = self._catalogue.call("run", list(self._parts))
        if document is None:
            raise self._missing()
        self._record = TaggedRun(document)

    def _run_record(self) -> TaggedRun:
        if "_record" not in self.__dict__:
            self._load()
        return self._record

    def _step_names(self) -> "list[str]":
        there = set(self._catalogue.call("steps", list(self._parts)))
        known = [node.name for node in reversed(self.graph.topological())]
        return [name for name in known if name in there] + sorted(there.difference(known))

    def _children(self) -> "Iterator[Step]":
        return (Step._of(self, name) for name in self._step_names())

    def _child(self, name: str) -> "Step | None":
        step: "Step" = Step._of(self, name)
        return step if step._task_ids() else None


def _listed(tags: "Any") -> "list[str]":
    if isinstance(tags, str):
        return [tags]
    try:
        return list(tags)
    except TypeError:
        raise TaggingError("Tags are texts: write one, or a list of them; got %r." % (tags,)) from None
