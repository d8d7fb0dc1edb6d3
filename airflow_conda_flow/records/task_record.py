"""``TaskRecord``: reads a task manifest, and the one function that makes one."""

from airflow_conda_flow.records.document import VERSION
from airflow_conda_flow.records.names import AttemptName, TaskName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import (
        ArtifactRef,
        CardRecord,
        EnvironmentRef,
        ExceptionRecord,
        Frame,
        TaskManifest,
        Transition,
    )

RUNNING = "running"
DONE = "done"
FAILED = "failed"
LOST = "lost"
"""Status of an attempt 0 that left no manifest; the mark of a later attempt is stored in its place."""


def make_task_record(
    name: AttemptName,
    *,
    status: str,
    started: str,
    finished: "str | None",
    split_name: "str | None",
    artifacts: "dict[str, ArtifactRef]",
    transition: "Transition | None",
    exception: "ExceptionRecord | None",
    environment: "EnvironmentRef | None",
    python: "str | None",
    cards: "list[CardRecord]",
) -> "TaskRecord":
    """The record of an attempt. Every fact has to be given, so that no writer forgets one.

    Args:
        name: the attempt.
        status: ``running``, ``done`` or ``failed``.
        started: when, as ``datetime.isoformat`` gives it in UTC.
        finished: likewise; None while it runs.
        split_name: readable name of the task's splits; None outside any foreach.
        artifacts: the task's whole namespace.
        transition: what comes next; None for the last step and for failures.
        exception: why it failed, caught or not.
        environment: the step's own environment, if it has one.
        python: the version that it ran on; that of the environment if None.
        cards: the cards that are stored.
    """
    document: "Any" = {
        "version": VERSION,
        "flow": name.task.flow,
        "run_id": name.task.run_id,
        "step": name.task.step,
        "task_id": name.task.task_id,
        "attempt": name.number,
        "status": status,
        "started": started,
        "finished": finished,
        "split_name": split_name,
        "artifacts": artifacts,
        "transition": transition,
        "exception": exception,
        "environment": environment["id"] if environment else None,
        "python": python or (environment["python"] if environment else None),
        "cards": cards,
    }
    return TaskRecord(document)


class TaskRecord:
    """Record of one attempt of a task.

    Attributes:
        document: the manifest as it is stored.
    """

    __slots__ = ("document",)

    def __init__(self, document: "TaskManifest") -> None:
        self.document = document

    # Which attempt.

    @property
    def name(self) -> AttemptName:
        """The name of the attempt."""
        return self.task.attempt(self.attempt)

    @property
    def task(self) -> TaskName:
        """The name of the task."""
        return TaskName(self.flow, self.run_id, self.step, self.task_id)

    @property
    def flow(self) -> str:
        """The flow's name."""
        return self.document["flow"]

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.document["run_id"]

    @property
    def step(self) -> str:
        """The step's name."""
        return self.document["step"]

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.document["task_id"]

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 0."""
        return self.document["attempt"]

    @property
    def ran_as(self) -> AttemptName:
        """The attempt that ran, whose logs and cards these are; of a clone, that of the original run."""
        origin = self.document.get("cloned_from")
        if origin is None:
            return self.name
        return self.task.in_run(origin["run_id"]).attempt(origin["attempt"])

    @property
    def is_clone(self) -> bool:
        """Whether ``resume`` took the task over from another run."""
        return self.document.get("cloned_from") is not None

    # How it ended.

    @property
    def status(self) -> str:
        """``running``, ``done`` or ``failed``."""
        return self.document["status"]

    @property
    def is_done(self) -> bool:
        """Whether the attempt succeeded, or its failure was caught."""
        return self.status == DONE

    @property
    def started(self) -> str:
        """When it started, in ISO 8601 and UTC."""
        return self.document["started"]

    @property
    def finished(self) -> "str | None":
        """When it ended, in ISO 8601 and UTC."""
        return self.document["finished"]

    @property
    def exception(self) -> "ExceptionRecord | None":
        """Why it failed, caught or not."""
        return self.document.get("exception")

    @property
    def split_name(self) -> "str | None":
        """Readable name of the splits around it."""
        return self.document.get("split_name")

    @property
    def environment(self) -> "str | None":
        """Spec id of its environment; None if it had none of its own."""
        return self.document.get("environment")

    @property
    def python(self) -> "str | None":
        """Version of Python that it ran on."""
        return self.document.get("python")

    # Its artifacts and cards.

    @property
    def artifacts(self) -> "dict[str, ArtifactRef]":
        """Its whole namespace: its own artifacts and the inherited ones."""
        return self.document["artifacts"]

    @property
    def cards(self) -> "list[CardRecord]":
        """The cards that it stored."""
        return self.document.get("cards", [])

    # The way that the run takes from it.

    @property
    def transition(self) -> "Transition | None":
        """The meaning of its ``self.next``."""
        return self.document["transition"]

    @property
    def next_steps(self) -> "list[str]":
        """Names of the steps that come next."""
        return self.transition["next"] if self.transition else []

    @property
    def num_splits(self) -> "int | None":
        """Number of splits of its foreach; None if it opens none."""
        return self.transition["num_splits"] if self.transition else None

    @property
    def chosen(self) -> "str | None":
        """The step that its switch chose."""
        return self.transition["chosen"] if self.transition else None

    def frame(self, index: int) -> "Frame":
        """The foreach that the task opens, as it is around the split of that number.

        Raises:
            LookupError: the task opens no foreach.
        """
        transition = self.transition
        if transition is None or transition["split_names"] is None:
            raise LookupError("Task %s opens no foreach." % self.task.pathspec)
        frame: "Any" = {
            "index": index,
            "num_splits": transition["num_splits"],
            "splits": transition["splits"],
            "name": transition["split_names"][index],
        }
        if "blocks" in transition:  # the split's value is read from its block, not from the whole list
            block, frame["position"] = divmod(index, transition["block_length"])
            frame["splits"] = transition["blocks"][block]
        return frame  # type: ignore[no-any-return]

    # Other records made of it.

    def clone(self, run_id: str) -> "TaskRecord":
        """The record of a task of another run that takes this one's outputs over."""
        ran_as = self.ran_as
        origin = {"run_id": ran_as.task.run_id, "attempt": ran_as.number}
        document: "Any" = dict(self.document, run_id=run_id, attempt=0, cloned_from=origin)
        document.pop("superseded_by", None)
        return TaskRecord(document)

    def with_artifacts(self, artifacts: "dict[str, ArtifactRef]") -> "TaskRecord":
        """The same record with other artifacts."""
        document: "Any" = dict(self.document, artifacts=artifacts)
        return TaskRecord(document)

    def with_cards(self, cards: "list[CardRecord]") -> "TaskRecord":
        """The same record with these cards."""
        document: "Any" = dict(self.document, cards=cards)
        return TaskRecord(document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskRecord) and self.document == other.document

    __hash__ = None  # type: ignore[assignment]  # its document may hold lists
