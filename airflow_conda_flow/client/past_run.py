"""``Run``: one run of a flow, whoever ran it."""

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
    """One run of a flow: ``Run("TrainFlow/1795547131171801")``; its steps, the last ones first."""

    depth = 2

    if TYPE_CHECKING:

        @property
        def parent(self) -> "Flow":
            """Its flow."""

        def __iter__(self) -> "Iterator[Step]":
            """Its steps of which a task has ended, the last ones first."""

        def __getitem__(self, name: str) -> "Step":
            """The step of that name."""

    @classmethod
    def _known(cls, flow: StoredObject, record: TaggedRun) -> "Run":
        made: Run = cls._of(flow, record.run_id)
        made._record = record
        return made

    # What became of it.

    @property
    def data(self) -> "TaskData | None":
        """The artifacts of its last task: ``run.data.x``; None if it has not finished."""
        end = self.end_task
        return None if end is None else end.data

    @property
    def end_task(self) -> "Task | None":
        """The task of its last step; None if that has not run."""
        step = self._child(self.graph.end)
        return None if step is None else next(iter(step.tasks()), None)

    @property
    def finished(self) -> bool:
        """Whether its last task has finished."""
        end = self.end_task
        return end is not None and end.finished

    @property
    def successful(self) -> bool:
        """Whether its last task has succeeded."""
        end = self.end_task
        return end is not None and end.successful

    @property
    def created_at(self) -> "datetime":
        """When it started, in this machine's time zone."""
        return local_time(self._run_record().created)

    @property
    def finished_at(self) -> "datetime | None":
        """When its last task finished; None if it has not."""
        end = self.end_task
        return end.finished_at if end is not None and end.finished else None

    # What it is.

    @property
    def graph(self) -> "FlowGraph":
        """The step graph that it runs."""
        return self._run_record().graph

    @property
    def code(self) -> "RunCode":
        """The sources that it runs."""
        code = self._run_record().code
        return RunCode(self._catalogue, code["sha256"], code["flow_file"])

    @property
    def runtime_name(self) -> str:
        """What ran it: ``dev`` for the command line, or ``airflow``."""
        origin = self._run_record().origin
        return "dev" if origin == "local" else origin

    @property
    def trigger(self) -> "Trigger | None":
        """What started it, as ``current.trigger`` in its steps; None if nothing is known of that."""
        events = self._run_record().current.get("trigger")
        return as_trigger(events) if events else None

    @property
    def origin_pathspec(self) -> "str | None":
        """The run that it resumed; None if it resumed none."""
        origin = self._run_record().origin_run_id
        return None if origin is None else "%s/%s" % (self._parts[0], origin)

    def steps(self, *tags: str) -> "Iterator[Step]":
        """Its steps of which a task has ended, the last ones first; none if it lacks one of the tags."""
        return iter(self) if self.tags.issuperset(tags) else iter(())

    # Tags.

    def add_tag(self, tag: "str | Iterable[str]") -> None:
        """Give the run a tag, or several as one change."""
        self._change(_listed(tag), [])

    def add_tags(self, tags: "Iterable[str]") -> None:
        """Give the run tags, as one change."""
        self._change(_listed(tags), [])

    def remove_tag(self, tag: "str | Iterable[str]") -> None:
        """Take a tag from the run, or several as one change; one that it lacks is passed over."""
        self._change([], _listed(tag))

    def remove_tags(self, tags: "Iterable[str]") -> None:
        """Take tags from the run, as one change."""
        self._change([], _listed(tags))

    def replace_tag(self, tag_to_remove: "str | Iterable[str]", tag_to_add: "str | Iterable[str]") -> None:
        """Take a tag from the run and give it another, as one change."""
        self._change(_listed(tag_to_add), _listed(tag_to_remove))

    def replace_tags(self, tags_to_remove: "Iterable[str]", tags_to_add: "Iterable[str]") -> None:
        """Take tags from the run and give it others, as one change; removals come first."""
        self._change(_listed(tags_to_add), _listed(tags_to_remove))

    def _change(self, add: "list[str]", remove: "list[str]") -> None:
        flow, run_id = self._parts
        tags = self._catalogue.call("change_tags", [flow, run_id, add, remove])
        self._record = self._run_record().with_user_tags(tags)

    # What it consists of.

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
        raise TaggingError("Tags are texts, one or a list of them; got %r." % (tags,)) from None
