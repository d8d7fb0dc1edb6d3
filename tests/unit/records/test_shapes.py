"""Whatever a run stores and whatever its processes send has the shape that ``records/shapes.py`` gives it."""

from __future__ import annotations

import json

import pytest

from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.records import shapes
from airflow_conda_flow.records.document import read_document
from airflow_conda_flow.records.task_record import TASK_VERSION
from airflow_conda_flow.runner import s3_service, step_process
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.runtime import protocol

from ...parts.attempt_machine import AttemptMachine
from .shape_check import problems

FLOW = """
from airflow_conda_flow import S3, Flow, card, catch, get_metadata, timeout, user_step_decorator
from airflow_conda_flow.cards import Markdown

@user_step_decorator
def timed(step_name, flow, inputs=None, attr=None):
    yield

class AFlow(FlowSpec):
    FACTOR = 3
    word = Parameter("word", default="hello")

    @timed
    @step
    def start(self):
        self.items = [letter * 100_000 for letter in "abc"]  # long enough to be stored in blocks too
        self.next(self.each, foreach="items")
    @card(id="facts")
    @timeout(minutes=1)
    @step
    def each(self):
        current.card["facts"].append(Markdown("hello"))
        current.card["facts"].refresh()
        self.kind = "odd" if self.index else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="kind")
    @step
    def odd(self):
        self.next(self.meet)
    @catch(var="problem")
    @step
    def even(self):
        self.half = 1
        raise ValueError(get_metadata())
        self.next(self.meet)
    @step
    def meet(self):
        try:
            Flow("Missing")
        except Exception:
            pass
        try:
            S3(s3root="s3://nowhere").get("x")
        except Exception:
            pass
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        raise KeyError(self.FACTOR, self.word)
"""
SENT = {
    "task": shapes.TaskMessage,
    "artifact": shapes.ArtifactMessage,
    "answer": shapes.AnswerMessage,
    "error": shapes.ErrorMessage,
}
SAID = {
    "fetch": shapes.FetchMessage,
    "ask": shapes.AskMessage,
    "publish": shapes.PublishMessage,
    "clock": shapes.ClockMessage,
    "cards": shapes.CardsMessage,
    "done": shapes.DoneMessage,
    "failed": shapes.FailedMessage,
}


@pytest.fixture(scope="module")
def conversation(tmp_path_factory):
    """The machine of a run whose tasks have all ended, and the messages from both ends and about S3."""
    folder = tmp_path_factory.mktemp("shapes")
    datastore = open_datastore("local", folder / "store", folder / "cache")
    run = AttemptMachine(folder / "code", FLOW, datastore, {"word": "hello"})
    sent, said, asked = [], [], []
    answer = s3_service.S3Service._answer

    def encode(message):
        sent.append(json.loads(json.dumps(message)))
        return protocol.encode(message)

    def decode(line):
        said.append(protocol.decode(line))
        return protocol.decode(line)

    def about_s3(service, request):
        asked.append(request)
        sent.append(answer(service, request))
        return sent[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(step_process, "encode", encode)
        patch.setattr(step_process, "decode", decode)
        patch.setattr(s3_service.S3Service, "_answer", about_s3)
        run.done("start")
        for index in range(3):
            run.done("each", index)
            run.done("odd" if index else "even", index)
            run.done("meet", index)
        run.done("join")
        run.failure("end")
        run.failure("end", attempt=1)
    return run, sent, said, asked


def test_stored_documents(conversation):
    """The run's manifest, and those of tasks that are done, caught and failed."""
    run, *_ = conversation
    documents = [
        read_document(path.read_bytes(), str(path), "", TASK_VERSION)
        for path in sorted((run.datastore.storage.root / "flows").rglob("*.json"))
    ]
    runs = [each for each in documents if "task_id" not in each]
    tasks = [each for each in documents if "task_id" in each]
    assert (len(runs), len(tasks)) == (1, 13)
    assert [found for each in runs for found in problems(each, shapes.RunManifest)] == []
    assert [found for each in tasks for found in problems(each, shapes.TaskManifest)] == []
    assert any("blocks" in (each["transition"] or {}) for each in tasks)
    assert {each["split_name"] for each in tasks} == {None, "#0", "#1", "#2"}
    assert [each["cards"] for each in tasks if each["step"] == "each"] == [
        [{"name": "facts", "id": "facts", "type": "default"}]
    ] * 3


def test_records_made_of_others(conversation):
    """Clones, the task of the parameters, a run with its tags, and a request to a container."""
    run, *_ = conversation
    catalogue = RunCatalogue(run.datastore)
    (parameters,) = catalogue.tasks("AFlow", "1", "_parameters", ["0"], 0)
    assert list(problems(parameters.document, shapes.TaskManifest)) == []
    assert list(problems(parameters.clone("2").document, shapes.TaskManifest)) == []
    assert list(problems(catalogue.run("AFlow", "1").document, shapes.TaggedRunDocument)) == []
    catalogue.change_tags("AFlow", "1", ["new"], [])
    (change,) = (run.datastore.storage.root / "tags").rglob("*.json")
    assert list(problems(read_document(change.read_bytes(), "", ""), shapes.TagChange)) == []
    request = TaskRequest("AFlow", "1", "each", (2,), 1).to_dict()
    assert list(problems(request, shapes.TaskRequestDocument)) == []


def test_messages_from_the_runner(conversation):
    """Each kind of message is sent, and has its shape."""
    _, sent, _, _ = conversation
    assert [found for each in sent for found in problems(each, SENT[each["type"]])] == []
    assert {each["type"] for each in sent} == SENT.keys()


def test_messages_from_step_processes(conversation):
    """Each kind of message is said, and has its shape; so has what the S3 client asks."""
    _, _, said, asked = conversation
    assert [found for each in said for found in problems(each, SAID[each["type"]])] == []
    assert {each["type"] for each in said} == SAID.keys()
    assert asked
    assert [found for each in asked for found in problems(each, shapes.S3Request)] == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"sha256": "ab", "size": 1, "type": "x", "protocol": 4}, "ref: ArtifactRef lacks 'preview'"),
        (
            {"sha256": "ab", "size": "1", "type": "x", "protocol": 4, "preview": None},
            "ref.size is '1', no int",
        ),
        (
            {"sha256": "ab", "size": 1, "type": "x", "protocol": 4, "preview": None, "more": 1},
            "ref: ArtifactRef has no 'more'",
        ),
    ],
)
def test_the_check_itself(value, problem):
    """A key that is missing, of another type, or unknown is found."""
    assert list(problems(value, shapes.ArtifactRef, "ref")) == [problem]
