"""Cards: what a step appends becomes a page beside its task, safe to look at."""

from __future__ import annotations

import pytest

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import card
from airflow_conda_flow.cards import (
    Artifact, Image, Markdown, MetaflowCardComponent, ProgressBar, Table, ValueBox, VegaChart)
from airflow_conda_flow.plugins.cards.card_modules.components import with_default_component_id

class LineChart(MetaflowCardComponent):
    REALTIME_UPDATABLE = True
    def __init__(self, title):
        super().__init__()
        self.spec = {"mark": "line", "title": title}
    @with_default_component_id
    def render(self):
        chart = VegaChart(self.spec)
        chart.component_id = self.component_id
        return chart.render()

PNG = b"\\x89PNG\\r\\n\\x1a\\n"

class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=0.5)

    @card
    @card(type="blank", id="report", refresh_interval=1)
    @card(type="html", id="own", options={"attribute": "page"})
    @step
    def start(self):
        self.page = "<h1>mine</h1>"
        current.card.append(Markdown("# Hello <script>alert(1)</script>"))
        current.card.extend([Table([[1, "a<b"], [2, Image(PNG, "dot")]], headers=["n", "what"])])
        current.card["report"].append(ValueBox("accuracy", 0.1), id="box")
        current.card["report"].components["box"].update(value=0.93, subtitle="of 1")
        current.card["report"].append(ProgressBar(max=10), id="bar")
        current.card["report"].components["bar"].update(7)
        current.card["report"].append(Table([[LineChart("a chart of one's own"), Markdown()]]))
        current.card["report"].append(Image(b"nothing"))
        current.card["report"].append(VegaChart({"mark": "</script>"}))
        self.next(self.end)

    @card
    @step
    def end(self):
        current.card.append(Artifact({"a": 1}, name="dict"))
        assert "report" not in current.card
        current.card["report"].append(Markdown("nowhere"))
        END
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine of its own."""
    return Machine(tmp_path / "home")


def get(machine, flow, *words: str) -> str:
    """The output of ``card get``."""
    done = machine.run(flow, "card", "get", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pages_of_a_task(machine):
    """Each type of card, listed and printed; what a user gave is escaped, and a wrong part fails nothing."""
    flow = machine.flow(FLOW.replace("END", ""))
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This step has no card with the id 'report'; what is appended to it is not shown." in done.stdout
    listed = machine.run(flow, "card", "list", "start").stdout
    assert [line.split()[1:3] for line in listed.splitlines()] == [
        ["card", "default"],
        ["report", "blank"],
        ["own", "html"],
    ]
    page = get(machine, flow, "start", "--id", "card")
    assert "<h1>Hello &lt;script&gt;alert(1)&lt;/script&gt;</h1>" in page
    assert "<td>a&lt;b</td>" in page
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert ">alpha<" in page
    assert ">page<" in page
    report = get(machine, flow, "start", "--id", "report")
    assert '<progress value="7" max="10">' in report
    assert "a chart of one's own" in report
    assert 'accuracy<strong>0.93</strong><span class="dim">of 1 </span>' in report
    assert "these bytes have none of these formats" in report
    assert '"mark": "\\u003c/script>"' in report
    assert get(machine, flow, "start", "--id", "own") == "<h1>mine</h1>"
    for words in (("--id", "own", "one.html"), ("one.html", "--id", "own")):
        assert get(machine, flow, "start", *words) == "Saved the card as one.html.\n"
        saved = machine.home / "one.html"
        assert saved.read_text() == "<h1>mine</h1>"
        saved.unlink()
    more = machine.run(flow, "card", "get", "start", "--id", "own", "one.html", "two.html")
    assert (more.returncode, "no such option: two.html" in more.stderr) == (2, True)
    assert "{&#x27;a&#x27;: 1}" in get(machine, flow, "end")


def test_a_task_that_fails_leaves_a_card(machine):
    """It says why, and holds what was appended before."""
    flow = machine.flow(FLOW.replace("END", 'raise RuntimeError("broken <here>")'))
    assert machine.run(flow, "run").returncode == 1
    page = get(machine, flow, "end")
    assert "RuntimeError: broken &lt;here&gt;" in page
    assert "{&#x27;a&#x27;: 1}" in page
    assert 'class="failed"' in page


def test_a_card_is_there_while_its_step_runs(machine):
    """``refresh`` makes the page before the task has ended."""
    flow = machine.flow(
        """
        import glob, os, time
        from airflow_conda_flow import card
        from airflow_conda_flow.cards import Markdown

        class AFlow(FlowSpec):
            @card
            @step
            def start(self):
                current.card.append(Markdown("early"))
                current.card.refresh()
                pattern = os.path.expanduser("~/.airflow-conda-flow/datastore/flows/AFlow/*/start/0/0.card.card.html")
                for _ in range(600):
                    if glob.glob(pattern):
                        break
                    time.sleep(0.1)
                print("seen", "early" in open(glob.glob(pattern)[0]).read(), "running")
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    )
    assert "seen True running" in machine.run(flow, "run").stdout


@pytest.mark.parametrize(
    ("decorator", "message"),
    [
        ("@card(id='a b')", "@card: id is 'a b'; write letters, digits"),
        (f"@card(id='{'a' * 101}')", "@card: id has 101 characters; it may have 100."),
        ("@card(timeout=0)", "@card: timeout is 0; write a number of seconds."),
        ("@card(options='x')", "@card: options is 'x'; write a dict"),
        ("@card(save_errors=1)", "@card: save_errors is 1; write True or False."),
    ],
)
def test_what_a_card_may_not_be(machine, decorator, message):
    """One message at the decorator's line."""
    flow = machine.flow(
        FLOW.replace("END", "").replace('    @card(type="html"', f'    {decorator}\n    @card(type="html"')
    )
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_cards_that_are_not_there(machine):
    """Which there are, or where they come from."""
    flow = machine.flow(FLOW.replace("END", ""))
    assert "There is no run of AFlow" in machine.run(flow, "card", "get", "start").stderr
    machine.run(flow, "run")
    assert "start has 3 cards. Name one task and one card" in machine.run(flow, "card", "get", "start").stderr
    assert (
        "start has no card with the id 'nope'. Cards come from"
        in machine.run(flow, "card", "get", "start", "--id", "nope").stderr
    )
    for words, said in [
        (["--id", "nope"], "The latest run of AFlow has no card with the id 'nope'."),
        (["start", "--type", "blanc"], "start has no card of type 'blanc'."),
        (["end", "--id", "a", "--type", "b"], "end has no card of type 'b' with the id 'a'."),
        (["end", "--as-json"], ""),
    ]:
        listed = machine.run(flow, "card", "list", *words)
        assert listed.returncode == 0
        assert listed.stderr == (f"{said} Cards come from @card on a step.\n" if said else "")
    done = machine.run(flow, "card", "get", "start", "own.html", "--id", "own")
    assert (machine.home / "own.html").read_text() == "<h1>mine</h1>"
    failed = machine.run(flow, "card", "get", "start", "nowhere/own.html", "--id", "own")
    assert (failed.returncode, failed.stderr) == (
        1,
        "nowhere/own.html cannot be written: No such file or directory.\n",
    )
    assert done.stdout == "Saved the card as own.html.\n"


OWN = """
from airflow_conda_flow.cards import CardComponent, Markdown, MetaflowCard

class Line(CardComponent):
    def __init__(self, text):
        self.text = text
    def render(self):
        return "<i>%s</i>" % self.text

class Report(MetaflowCard):
    type = "report"
    ALLOW_USER_COMPONENTS = True
    RUNTIME_UPDATABLE = True
    def __init__(self, options={"title": "none"}, components=[], graph=None, **other):
        self.title, self.components, self.steps = options["title"], components, sorted(graph)
    def render(self, task):
        title, x, before = self.title, task.data.x, [each.pathspec.split("/")[2] for each in task.parent_tasks]
        return f"{title} {task.pathspec} {x} {len(task['big'].data)} {before} {self.components} {task.successful}"
    def render_runtime(self, task, data):
        return f"{data['user']} of {task.id}, {task.finished}"

class Slow(MetaflowCard):
    type = "slow"
    def render(self, task):
        import time
        time.sleep(30)

class Wrong(MetaflowCard):
    type = "wrong"
    def render(self, task):
        return 1 / 0

class Nothing(MetaflowCard):
    type = "nothing"
    def render(self, task):
        return None
"""
OWN_FLOW = """
import glob, os, time
from airflow_conda_flow import card
from reports import Line, Markdown

class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.middle)

    @card(type="report", options={"title": "<b>A</b>"}, customize=True)
    @card(type="slow", id="late", timeout=0.2)
    @card(type="wrong", id="wrong")
    @card(type="wrong", id="quiet", save_errors=False)
    @card(type="nothing", id="none")
    @step
    def middle(self):
        self.x, self.big = 7, bytes(range(256)) * 10000
        current.card.append(Line("line"))
        current.card.append(Markdown("text"))
        current.card.refresh({"half": 1})
        pattern = os.path.expanduser("~/.airflow-conda-flow/datastore/flows/AFlow/*/middle/0/0.card.card.html")
        for _ in range(600):
            if glob.glob(pattern):
                break
            time.sleep(0.05)
        print("NOW", open(glob.glob(pattern)[0]).read())
        if os.environ.get("FAILS"):
            raise RuntimeError("the step's")
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def test_types_of_ones_own(machine):
    """They render the task with what it made; one that fails, takes too long or makes none fails no step."""
    (machine.home / "reports.py").write_text(OWN)
    flow = machine.flow(OWN_FLOW)
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOW {'half': 1} of middle-0, False" in done.stdout
    listed = machine.run(flow, "card", "list", "middle").stdout
    assert [line.split()[1:3] for line in listed.splitlines()] == [
        ["card", "report"],
        ["late", "slow"],
        ["wrong", "wrong"],
    ]
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    components = "['<i>line</i>', {'kind': 'markdown', 'text': 'text'}]"
    page = f"<b>A</b> AFlow/{run.name}/middle/middle-0 7 2560000 ['start'] {components} True"
    assert get(machine, flow, "middle", "--id", "card") == page
    assert "Slow.render() took longer than the card&#x27;s timeout, 0.2 seconds." in get(
        machine, flow, "middle", "--id", "late"
    )
    wrong = get(machine, flow, "middle", "--id", "wrong")
    assert "return 1 / 0" in wrong
    assert "ZeroDivisionError: division by zero" in wrong
    assert "own_cards.py" not in wrong


def test_types_of_ones_own_of_a_task_that_fails(machine):
    """The page is ours, and says why the step failed."""
    (machine.home / "reports.py").write_text(OWN)
    flow = machine.flow(OWN_FLOW)
    assert machine.run(flow, "run", FAILS="1").returncode == 1
    assert "RuntimeError: the step&#x27;s" in get(machine, flow, "middle", "--id", "card")
    assert "quiet" not in machine.run(flow, "card", "list", "middle").stdout


def test_a_type_that_there_is_not(machine):
    """It costs the card alone: ``check``, the log and the card name it and what there is."""
    (machine.home / "reports.py").write_text(OWN)
    flow = machine.flow(OWN_FLOW.replace('type="slow"', 'type="slwo"'))
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout
    said = "@card: there is no type 'slwo'. Did you mean 'slow'? There is: blank, default,"
    assert done.stdout.count(said) == 1
    checked = machine.run(flow, "check")
    assert checked.returncode == 0
    assert f"a_flow.py:13: {said}" in checked.stderr
    assert checked.stderr in done.stderr
    assert "there is no type &#x27;slwo&#x27;." in get(machine, flow, "middle", "--id", "late")
