"""``card server``: a local page with the cards of a flow's runs, the newest first.

It serves this machine alone. A card holds what a flow's author put on it, so browsers are told to keep it
apart from the page around it.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_conda_flow.cli.card_server_page import card_server_page
from airflow_conda_flow.cli.parser import chosen_settings
from airflow_conda_flow.cli.past_runs import run_of
from airflow_conda_flow.cli.run import ended_by
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.manifests import list_runs
from airflow_conda_flow.errors import CondaFlowError, NotInDatastore, SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord

HOST = "127.0.0.1"
_RUNS = 10
"""So many of the latest runs are looked at."""

_PARTS = 5
_APART = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups",
    "X-Content-Type-Options": "nosniff",
}
Card = dict[str, Any]


def serve(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Serve until Ctrl-C or SIGTERM, which is no failure.

    Raises:
        SettingError: the port is taken.
        ObjectNotFound: there is no such run.
    """
    settings = chosen_settings(arguments)
    datastore = open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)
    run_id = arguments.run_id
    if run_id is not None:
        run_id = run_of(RunCatalogue(datastore), definition.name, run_id).run_id
    cards = RunCards(datastore, definition, run_id, arguments.namespace)
    page = card_server_page(definition.name, arguments.poll_interval)
    handler = type("Handler", (_Handler,), {"cards": cards, "most": arguments.max_cards, "page": page})
    try:
        server = ThreadingHTTPServer((HOST, arguments.port), handler)
    except (OSError, OverflowError) as error:
        raise SettingError(
            f"--port {arguments.port}: {str(error).rstrip('.')}. Give another; 0 takes any."
        ) from error
    with server, ended_by(signal.default_int_handler):
        print(
            f"Cards of {definition.name}: http://{HOST}:{server.server_port}/ (Ctrl-C ends this)", flush=True
        )
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print("Stopped.")
    return 0


class RunCards:
    """The cards of a flow's runs. Thread-safe.

    Args:
        datastore: where they are.
        definition: the flow.
        run_id: the run; the latest ones if None.
        namespace: the tag that runs must have, or None.
    """

    def __init__(
        self, datastore: Datastore, definition: FlowDefinition, run_id: str | None, namespace: str | None
    ) -> None:
        self._storage = datastore.storage
        self._catalogue = RunCatalogue(datastore)
        self._flow = definition.name
        self._steps = [node.name for node in definition.graph.topological()]
        self._run_id = run_id
        self._namespace = namespace
        self._ordered: tuple[list[str], list[str]] = ([], [])

    def newest(self, most: int) -> list[Card]:
        """The cards of now, those of tasks that still run too: later runs first, and later steps."""
        return list(islice(self._newest(), most))

    def page(self, parts: Sequence[str]) -> bytes:
        """A card, by the parts of its path.

        Raises:
            NotInDatastore: there is none.
        """
        run_id, step, task_id, attempt, card_id = parts
        if not attempt.isdigit():
            raise NotInDatastore(f"{attempt!r} is no attempt.")
        key = layout.card(TaskName(self._flow, run_id, step, task_id).attempt(int(attempt)), card_id)
        return self._storage.read_bytes(key)

    def _newest(self) -> Iterator[Card]:
        run_ids = self._latest() if self._run_id is None else [self._run_id]
        for run in self._catalogue.runs(self._flow, run_ids[:_RUNS]):
            if run is not None and self._namespace in {None, *run.user_tags, *run.system_tags}:
                yield from sorted(self._of_run(run), key=self._place)

    def _latest(self) -> list[str]:
        """The runs, the newest first; they are put in order, which reads them, when another one is there."""
        known, ordered = self._ordered
        there = list_runs(self._storage, self._flow)
        if there != known:
            ordered = self._catalogue.run_ids(self._flow)
            if len(ordered) == len(there):  # else the manifest of a run is about to come
                self._ordered = (there, ordered)
        return ordered

    def _of_run(self, run: RunRecord) -> Iterator[Card]:
        run_id = run.run_id
        yield from self._stored(run_id, layout.run_folder(self._flow, run_id), run_id)
        if run.origin_run_id:  # the cards of what was not run again are beside the task that ran
            for step in self._catalogue.steps(self._flow, run_id):
                task_ids = self._catalogue.task_ids(self._flow, run_id, step)
                for task in self._catalogue.tasks(self._flow, run_id, step, task_ids, 0):
                    if task is not None and task.is_clone:
                        origin = task.ran_as
                        prefix = f"{layout.task_folder(origin.task)}{origin.number}."
                        yield from self._stored(run_id, prefix, origin.task.run_id)

    def _stored(self, run_id: str, prefix: str, made_by: str) -> Iterator[Card]:
        keys = set(self._storage.list_keys(prefix))
        for key in keys:
            found = layout.card_of(key)
            if found is not None:
                step, task_id, attempt, card_id = found
                names = (made_by, step, task_id, str(attempt), card_id)
                name = TaskName(self._flow, made_by, step, task_id).attempt(attempt)
                yield {
                    "name": f"{run_id}/{step}/{task_id}",
                    "id": card_id,
                    "attempt": attempt,
                    "step": step,
                    "running": layout.task_manifest(name) not in keys,
                    "path": "/card/" + "/".join(quote(each, safe="") for each in names),
                }

    def _place(self, card: Card) -> tuple[int, str, int, str]:
        later = self._steps.index(card["step"]) if card["step"] in self._steps else -1
        return -later, card["name"], -card["attempt"], card["id"]


class _Handler(BaseHTTPRequestHandler):
    """``/`` is the page, ``/cards`` what there is, ``/card/...`` one card."""

    server: ThreadingHTTPServer
    cards: RunCards
    most: int
    page: str

    def do_GET(self) -> None:
        port = self.server.server_port
        # Another site's script may have a name of its own for this address.
        if self.headers.get("Host") not in {f"{HOST}:{port}", f"localhost:{port}"}:
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"Only for this machine.")
            return
        path = urlsplit(self.path).path
        try:
            self._find(path)
        except NotInDatastore as error:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", str(error).encode())
        except CondaFlowError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", str(error).encode())

    def _find(self, path: str) -> None:
        parts = [unquote(each) for each in path.removeprefix("/card/").split("/")]
        if path == "/":
            self._answer(HTTPStatus.OK, "text/html", self.page.encode())
        elif path == "/cards":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(self.cards.newest(self.most)).encode())
        elif path.startswith("/card/") and len(parts) == _PARTS and all(parts):
            self._answer(HTTPStatus.OK, "text/html", self.cards.page(parts), _APART)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"There is nothing here.")

    def _answer(
        self, status: HTTPStatus, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Cache-Control": "no-store", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: a page that looks every few seconds would fill the terminal."""
