"""``card server``: the cards of a flow's runs on a page of this machine alone."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request

import pytest

from ...parts.flow_machine import Machine

FLOW = """
import os, time
from airflow_conda_flow import card
from airflow_conda_flow.cards import Markdown

class AFlow(FlowSpec):
    @card(id="slow")
    @step
    def start(self):
        current.card.append(Markdown("early"))
        current.card.refresh()
        while not os.path.exists("go"):
            time.sleep(0.02)
        current.card.append(Markdown("late"))
        self.next(self.end)

    @card
    @step
    def end(self):
        1 // os.path.exists("good")
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine of its own."""
    return Machine(tmp_path / "home")


class Served:
    """A running card server, and its pages."""

    def __init__(self, first_line: str) -> None:
        self.url = re.search(r"http://127\.0\.0\.1:\d+", first_line).group()

    def get(self, path: str, **headers: str):
        """The answer, an error too."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            return error

    def cards(self) -> list[dict]:
        """The cards, as the page gets them."""
        return json.load(self.get("/cards"))

    def wait_for(self, wanted) -> list[dict]:
        """The cards, once they are so."""
        deadline = time.monotonic() + 60
        while not wanted(cards := self.cards()):
            assert time.monotonic() < deadline, cards
            time.sleep(0.02)
        return cards


def test_cards_as_they_come(machine):
    """A card of a running task, then of its end, of a failed one, and of a resumed run; Ctrl-C is the end."""
    flow = machine.flow(FLOW)
    with machine.started(flow, "card", "server", "--port", "0", "--poll-interval", "1.5") as server:
        served = Served(server.stdout.readline())
        assert served.cards() == []
        page = served.get("/").read().decode()
        assert "Cards of AFlow" in page
        assert "setTimeout(look, 1500)" in page
        with machine.started(flow, "run") as run:
            (card,) = served.wait_for(lambda cards: cards)
            first = card["name"].partition("/")[0]
            path = f"/card/{first}/start/start-0/0/slow"
            running = {"id": "slow", "attempt": 0, "step": "start", "running": True, "path": path}
            assert card == {"name": f"{first}/start/start-0", **running}
            assert "early" in served.get(path).read().decode()
            (machine.home / "go").touch()
            run.communicate()
        answer = served.get(path)
        assert "late" in answer.read().decode()
        assert answer.headers["Content-Security-Policy"] == "sandbox allow-scripts allow-popups"
        assert [(each["step"], each["running"]) for each in served.cards()] == [
            ("end", False),
            ("start", False),
        ]
        (machine.home / "good").touch()
        assert machine.run(flow, "resume", "--namespace", "x").returncode == 0
        names = [each["name"].partition("/") for each in served.cards()]
        assert [step for _, _, step in names] == ["end/end-0", "start/start-0", "end/end-0", "start/start-0"]
        assert [run_id == first for run_id, _, _ in names] == [False, False, True, True]
        assert served.cards()[1]["path"] == path, "the card of a clone is its origin's"
        for wrong in (
            "/nothing",
            "/card/1/2/3/0/x",
            "/card/1/2/3/x/x",
            "/card/..%2F../start/0/0/x",
            "/card/",
        ):
            assert served.get(wrong).status == 404
        assert served.get("/cards", Host="elsewhere.example").status == 403
        server.send_signal(signal.SIGINT)
        assert server.communicate(timeout=20)[0] == "Stopped.\n"
        assert server.returncode == 0
    with machine.started(
        flow, "card", "server", "--port", "0", "--run-id", first, "--max-cards", "1"
    ) as server:
        served = Served(server.stdout.readline())
        assert [each["name"] for each in served.cards()] == [f"{first}/end/end-0"]
        port = served.url.rpartition(":")[2]
        taken = machine.run(flow, "card", "server", "--port", port)
        assert (taken.returncode, taken.stdout) == (1, "")
        assert re.fullmatch(rf"--port {port}: .* Give another; 0 takes any\.\n", taken.stderr)
    not_followed = machine.run(flow, "card", "list", "--no-follow-resumed", "--file", "list.json")
    assert [line.split()[0].partition("/")[2] for line in not_followed.stdout.splitlines()] == ["end/end-0"]
    (listed,) = json.loads((machine.home / "list.json").read_text())
    assert [(each["filename"], each["type"]) for each in listed["cards"]] == [("0.card.card.html", "default")]
