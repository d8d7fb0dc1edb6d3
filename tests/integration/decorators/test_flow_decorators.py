"""@schedule, @trigger, @trigger_on_finish and @project: on the command line, and as the DAG's."""

from __future__ import annotations

import json

import pytest

HEAD = (
    "from airflow_conda_flow import Config, config_expr, namespaced_event_name, project, schedule, "
    "trigger, trigger_on_finish\n"
)
STEPS = """
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        names = ("project_name", "branch_name", "is_user_branch", "is_production", "project_flow_name")
        print("PROJECT", [current.get(name) for name in names])
"""
DESCRIBE = """
import json, os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
def text(schedule):
    if isinstance(schedule, (str, type(None))):
        return schedule
    if isinstance(schedule, list):
        return [each.name for each in schedule]
    return [type(schedule).__name__, repr(schedule)]
print(json.dumps([bag.import_errors, {dag.dag_id: {
    "schedule": text(dag.schedule), "tags": sorted(dag.tags),
    "outlets": [asset.name for task in dag.tasks for asset in getattr(task, "outlets", [])],
} for dag in bag.dags.values()}]))
"""


def flow_text(decorators: str, name: str = "AFlow", dag: str = "", steps: str = STEPS) -> str:
    text = f"{HEAD}{decorators}\nclass {name}(FlowSpec):{steps}"
    return text + f'dag = {name}.dag(environment="local"{dag})\n'


def describe(machine) -> dict:
    errors, dags = json.loads(machine.python(DESCRIBE).splitlines()[-1])
    assert errors == {}
    return dags


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["my_p", "user.tester", True, False, "my_p.user.tester.AFlow"]),
        (("--branch", "foo"), ["my_p", "test.foo", False, False, "my_p.test.foo.AFlow"]),
        (("--production",), ["my_p", "prod", False, True, "my_p.prod.AFlow"]),
        (("--branch", "foo", "--production"), ["my_p", "prod.foo", False, True, "my_p.prod.foo.AFlow"]),
    ],
)
def test_a_project_has_branches(machine, words, expected):
    """The names are Metaflow's; a local run takes schedules and triggers, and does nothing with them."""
    flow = machine.flow(flow_text('@schedule(hourly=True)\n@trigger(event="x")\n@project(name="my_p")'))
    done = machine.run(flow, *words, "run")
    assert done.returncode == 0, done.stderr
    assert f"PROJECT {expected}" in done.stdout
    assert f"Project: my_p, Branch: {expected[1]}" in done.stderr
    (manifest,) = machine.datastore.glob("flows/AFlow/*/run.json")
    assert {"project:my_p", f"project_branch:{expected[1]}"} <= set(
        json.loads(manifest.read_text())["system_tags"]
    )


def test_a_branch_needs_a_project_and_one_place(machine):
    """--branch is no option of other flows, and one that is not the decorator's is refused."""
    assert machine.run(machine.flow(flow_text("")), "--branch", "x", "run").returncode == 2
    done = machine.run(machine.flow(flow_text('@project(name="p", branch="y")')), "--branch", "x", "run")
    assert done.returncode == 1
    assert "The branch is 'x', but @project of AFlow says 'y'. Keep one." in done.stderr


def test_decorators_of_the_flow_are_the_dags(airflow_machine):
    """Schedules, assets, ids and tags; a keyword of dag() wins over a decorator."""
    machine = airflow_machine
    flows = {
        "plain": flow_text("", "Plain"),
        "daily": flow_text("@schedule", "Daily"),
        "berlin": flow_text('@schedule(cron="0 6 ? * MON-FRI *", timezone="Europe/Berlin")', "Berlin"),
        "keyword": flow_text("@schedule(weekly=True)", "Keyword", ', schedule="1 2 * * *"'),
        "events": flow_text('@trigger(events=["a", "b"])', "Events"),
        "both": flow_text('@schedule(hourly=True)\n@trigger(event="a")', "Both"),
        "after": flow_text('@trigger_on_finish(flow="Plain")', "After"),
        "placed": flow_text(
            '@trigger_on_finish(flows=["Plain", "q.prod.Other", "r.prod.Other", "p.test.x.Plain"])\n'
            '@project(name="p")',
            "Placed",
            ', branch="x", tags=["mine"], asset=True',
        ),
        "asked": flow_text(
            "@trigger(events=[namespaced_event_name('n'), {'name': lambda context: current.branch_name + '.b', "
            "'parameters': lambda context: ['size']}, lambda context: config_expr('config.event')])\n"
            "@trigger_on_finish(flow=lambda context: {'name': context.flow_name, 'project': "
            "current.project_name, 'project_branch': 'prod'})\n@project(name='p')",
            "Asked",
            steps="\n    config = Config('config', default_value={'event': 'c'})\n"
            "    size = Parameter('size', default=1)" + STEPS,
        ),
    }
    flows["whose"] = flow_text('@project(name="p")', "Whose")
    for name, text in flows.items():
        machine.flow(text, f"{name}.py", machine.dags)
    dags = describe(machine)
    assert dags["plain"]["schedule"] is None
    assert dags["plain"]["outlets"] == []
    assert dags["daily"]["schedule"] == "0 0 * * *"
    assert dags["keyword"]["schedule"] == "1 2 * * *"
    assert dags["berlin"]["schedule"][0] == "CronTriggerTimetable"
    assert "0 6 * * MON-FRI" in dags["berlin"]["schedule"][1]
    assert "Europe/Berlin" in dags["berlin"]["schedule"][1]
    assert dags["events"]["schedule"] == ["a", "b"]
    assert dags["both"]["schedule"][0] == "AssetOrTimeSchedule"
    assert dags["after"]["schedule"] == ["conda_flow.Plain.end"]
    placed = dags["p.test.x.placed"]
    assert placed["schedule"] == [
        "conda_flow.p.test.x.Plain.end",
        "conda_flow.q.prod.Other.end",
        "conda_flow.r.prod.Other.end",
    ]
    assert dags["p.user.airflow.asked"]["schedule"] == [
        "mfns.p.user.airflow.n",
        "user.airflow.b",
        "c",
        "conda_flow.p.prod.Asked.end",
    ]
    assert placed["tags"] == ["conda-flow", "mine", "project:p", "project_branch:test.x"]
    assert placed["outlets"] == ["conda_flow.p.test.x.Placed.end"]
    assert dags["p.user.airflow.whose"]["tags"] == ["conda-flow", "project:p", "project_branch:user.airflow"]
    machine.environ.update(AIRFLOW__CONDA_FLOW__PROJECT_USER="team", METAFLOW_USER="somebody")
    assert "p.user.team.whose" in describe(machine)


def test_settings_say_the_branch_of_dags(airflow_machine):
    """Without a keyword the section [conda_flow] decides; the steps see the same branch."""
    machine = airflow_machine
    machine.environ["AIRFLOW__CONDA_FLOW__PRODUCTION"] = "true"
    machine.flow(flow_text('@project(name="p")'), folder=machine.dags)
    assert list(describe(machine)) == ["p.prod.a_flow"]
    done = machine.airflow("dags", "test", "p.prod.a_flow")
    assert "PROJECT ['p', 'prod', False, True, 'p.prod.AFlow']" in done.stdout, done.stdout


MISTAKES = [
    ('@schedule(cron="0 0 * * *", hourly=True)', "@schedule gives both cron and hourly. Keep one."),
    ('@schedule(cron="soon")', "cron is 'soon'. Write minute, hour, day, month and weekday"),
    ('@schedule(cron="0 6 ? * 2-6 2027")', "Name the days, such as MON-FRI, and leave out the year."),
    ("@schedule(daily=False)", "@schedule gives no time."),
    ('@schedule(timezone="Europe/Berln")', "timezone is 'Europe/Berln'; write one such as"),
    ('@trigger(event="a", events=["b"])', "@trigger gives both event and events. Keep one."),
    ("@trigger", "@trigger names nothing. Write @trigger(event="),
    (
        '@trigger(event={"name": "a", "parameters": {"alfa": "x"}})',
        "@trigger: AFlow has no parameter 'alfa'.",
    ),
    ('@trigger(event="a", options={"reset_at": {}})', "options are for Argo Workflows"),
    ('@trigger_on_finish(flows=["A", "A"])', "@trigger_on_finish names 'A' twice; keep one."),
    (
        '@trigger_on_finish(flows=["p.x.A", {"name": "A", "project": "p", "project_branch": "x"}])',
        "@trigger_on_finish names 'p.x.A' twice; keep one.",
    ),
    ('@trigger_on_finish(flow={"name": "A", "project": "p"})', "project and project_branch go together"),
    ('@project(name="My-P")', "name is 'My-P'; write lower-case letters, digits and _"),
    ('@project(name="p", branch="a b")', "branch is 'a b'; write letters"),
    ('@project("p")', "@project takes its attributes by name, such as @project(name=...)."),
    ('@trigger("a")', "@trigger takes its attributes by name, such as @trigger(event=...)."),
]


@pytest.mark.parametrize(("decorators", "message"), MISTAKES)
def test_mistakes_are_found_before_anything_runs(machine, decorators, message):
    """One message with file and line, exit code 1."""
    flow = machine.flow(flow_text(decorators))
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{flow}:3: ")
    assert message in done.stderr
