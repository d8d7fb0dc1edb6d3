"""Cards of types that are written for Metaflow's live cards, seen from the step, the client and the command line."""

from __future__ import annotations

import json
import subprocess
import sys

from ...parts.flow_machine import Machine

FLOW = """
import json
import time
from airflow_conda_flow import card
from airflow_conda_flow.cards import BlankCard, Card, CardComponent, DagComponent, Markdown, Section, get_cards

class Numbers(CardComponent):
    REALTIME_UPDATABLE = True
    def __init__(self, values):
        self.values = values
    def render(self):
        return {"values": self.values}
    def update(self, values):
        self.values = values

class Live(Card):
    type = "live"
    ALLOW_USER_COMPONENTS = RUNTIME_UPDATABLE = True
    RELOAD_POLICY = Card.RELOAD_POLICY_ONCHANGE
    def __init__(self, components=(), **other):
        self.components = components
    def render(self, task):
        return "END %s %s [METAFLOW_RELOAD_TOKEN]" % (self.components, self.runtime_data["user"])
    def render_runtime(self, task, data):
        return "NOW %s %s [METAFLOW_RELOAD_TOKEN]" % (data["user"], data["components"])
    def refresh(self, task, data):
        return data
    def reload_content_token(self, task, data):
        return "part-%d" % data["user"]["part"]

class Titled(BlankCard):
    type = "titled"
    def render(self, task):
        return super().render(task, components=[Markdown("# of **%s**" % task.id)])

class Fixed(Card):
    type = "fixed"
    def __init__(self, options={"word": "none"}, components=(), **other):
        self.text = "%s %s" % (options["word"], list(components))
    def render(self, task):
        return self.text

class AFlow(FlowSpec):
    @card(type="live", id="live")
    @step
    def start(self):
        assert len(get_cards(current.pathspec)) == 0
        numbers = Numbers([1])
        current.card.append(numbers, id="numbers")
        current.card.refresh({"part": 1})
        (found,) = get_cards(current.pathspec, id="live")
        print("LIVE", found.hash, found.get())
        numbers.update([1, 2])
        current.card.components["numbers"].update([1, 2, 3])
        current.card.refresh({"part": 2}, force=True)
        while found.get_data()["data"]["user"] != {"part": 2}:
            time.sleep(1)
            current.card.refresh({"part": 2}, force=True)
        print("DATA", json.dumps(found.get_data()))
        self.next(self.middle, foreach="both")

    both = ["a", "b"]

    @card(type="fixed", id="fixed")
    @card(type="titled")
    @step
    def middle(self):
        current.card["fixed"].append(Numbers([self.index]))
        current.card.append(Section("The steps", contents=[DagComponent(data=current.graph)]))
        self.next(self.join)

    @card(type="blank", id="same")
    @card(type="fixed", id="same")
    @card(type="blnk", save_errors=False)
    @step
    def join(self, inputs):
        current.card["same"].append(Markdown("to the one that takes it"))
        self.next(self.end)

    @card(type="taskspec_card")
    @step
    def end(self):
        current.card.append(Markdown("to none"))
"""
READ = """
import json
from airflow_conda_flow import Flow
from airflow_conda_flow.cards import get_cards
from airflow_conda_flow.plugins.cards.card_client import Card
run = Flow("AFlow").latest_run
(live,) = get_cards(run["start"].task)
assert isinstance(live, Card) and not live.from_resumed and live.origin_pathspec is None
with open(live.path) as file:
    assert file.read() == live.get()
assert live.get_data()["reload_token"] == "final"
(spec,) = get_cards(run["end"].task)
print(json.dumps([live.hash, live.get(), spec.get(), spec.id, spec.name]))
"""


def test_live_cards(tmp_path):
    """The step, a program and the command line see the same card, whose class gets what Metaflow gives it."""
    machine = Machine(tmp_path / "home")
    flow = machine.flow(FLOW)
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr

    live = "NOW {'part': 1} {'numbers': {'values': [1]}} part-1"
    (seen,) = (line for line in done.stdout.splitlines() if "] LIVE " in line)
    hash_, page = seen.partition("] LIVE ")[2].split(" ", 1)
    assert page == live
    (update,) = (line.partition("] DATA ")[2] for line in done.stdout.splitlines() if "] DATA " in line)
    update = json.loads(update)
    assert update.keys() == {"created_on", "data", "reload_token"}
    assert update["reload_token"] == "part-2"
    assert update["data"]["components"] == {"numbers": {"values": [1, 2, 3]}}
    assert update["data"].keys() == {"component_update_ts", "components", "mode", "render_seq", "user"}
    assert "there is no type 'blnk'. Did you mean 'blank'?" in done.stdout
    assert "no card of this step takes components" in done.stdout

    read = subprocess.run(
        [sys.executable, "-c", READ], capture_output=True, text=True, env=machine.environ, check=False
    )
    assert read.returncode == 0, read.stderr
    final = "END [{'values': [1, 2, 3]}] {'part': 2} final"
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    assert json.loads(read.stdout) == [hash_, final, f"AFlow/{run.name}/end/end-0", None, "card"]

    of_start = json.loads(machine.run(flow, "card", "list", "start", "--as-json").stdout)
    file_name = "0.live.card.html"
    (card,) = of_start["cards"]
    assert card == {"id": "live", "hash": hash_, "type": "live", "filename": file_name}
    assert machine.run(flow, "card", "get", "start", "--hash", hash_[:6]).stdout == final
    of_both = json.loads(machine.run(flow, "card", "list", "middle", "--as-json").stdout)
    assert [each["pathspec"].rpartition("/")[2] for each in of_both] == ["middle-0", "middle-1"]
    one = f"{run.name}/middle/middle-1"
    assert machine.run(flow, "card", "get", one, "--id", "fixed").stdout == "none [{'values': [1]}]"
    titled = machine.run(flow, "card", "get", one, "--type", "titled").stdout
    assert "<h1>of <strong>middle-1</strong></h1>" in titled
    assert "<h2>The steps</h2>" in titled
    assert "<tr><td>join</td><td>join</td><td>end</td></tr>" in titled
    of_join = json.loads(machine.run(flow, "card", "list", f"{run.name}/join/0", "--as-json").stdout)
    assert [(each["id"], each["filename"]) for each in of_join["cards"]] == [
        ("same", "0.same.card.html"),
        ("same", "0.same-1.card.html"),
    ]
    taken = machine.run(flow, "card", "get", "join", "--hash", of_join["cards"][0]["hash"]).stdout
    assert "to the one that takes it" in taken
    several = machine.run(flow, "card", "get", "join").stderr
    assert f"join/join-0 --hash {of_join['cards'][1]['hash'][:8]} (same-1)" in several
