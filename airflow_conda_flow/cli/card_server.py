"""``card server``: a local web page with the cards of a flow's runs, newest first.

It serves this machine only. A card may contain any HTML and script, so browsers must isolate it from the
page around it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_conda_flow.cli.card_server_page import card_server_page
from airflow_conda_flow.cli.parser import chosen_settings
from airflow_conda_flow.cli.past_runs import run_of
from airflow_conda_flow.cli.serving import serve_until_asked
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.manifests import list_runs
from airflow_conda_flow.errors import CondaFlowError, NotInDatastore, SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.names import TaskName, whole_number
from airflow_conda_flow.records.run_record import RunRecord

HOST = "127.0.0.1"
_RUNS = 10
"""Number of the latest runs that are shown. Each refresh lists the files of all of them."""

_PARTS = 5
"""Number of parts in the path of a card: run, step, task id, attempt, card id."""

# A sandbox without allow-same-origin gives the card an origin of its own, also when it is opened in a new
# tab: its scripts cannot read this server's pages or other cards.
_APART = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups",
    "X-Content-Type-Options": "nosniff",
}
Card = dict[str, Any]


def serve(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Serve until Ctrl-C or SIGTERM; both end it with exit code 0.

    Raises:
        SettingError: the port cannot be opened: it is taken, out of range or not permitted.
        ObjectNotFound: there is no such run.
    """
    settings = chosen_settings(arguments)
    datastore = open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)
    run_id = arguments.run_id
    if run_id is not None:
        run_id = run_of(RunCatalogue(datastore), definition.name, run_id).run_id
    cards = RunCards(datastore, definition, run_id, arguments.namespace)
    page = card_server_page(definition.name, arguments.poll_interval)
    # http.server makes a handler object for each request, so what they share is stored in the class.
    handler = type("Handler", (_Handler,), {"cards": cards, "most": arguments.max_cards, "page": page})
    try:
        server = ThreadingHTTPServer((HOST, arguments.port), handler)
    except (OSError, OverflowError) as error:
        raise SettingError(
            f"--port {arguments.port}: {str(error).rstrip('.')}. Give another; 0 takes any."
        ) from error
    with server:
        address = f"http://{HOST}:{server.server_port}/"
        return serve_until_asked(server, f"Cards of {definition.name}: {address} (Ctrl-C ends this)")


class RunCards:
    """Cards of a flow's runs. Thread-safe.

    Args:
        datastore: datastore of the runs.
        definition: the flow.
        run_id: the only run to show; the latest ones if None.
        namespace: tag that a run must have to be shown; None shows all runs.
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
        # Ids as they were listed, and the same ids ordered. Threads replace the pair as a whole and never
        # change it in place, so that no lock is needed.
        self._ordered: tuple[list[str], list[str]] = ([], [])

    def newest(self, most: int) -> list[Card]:
        """Present cards, including those of running tasks: later runs first, then later steps."""
        return list(islice(self._newest(), most))

    def page(self, parts: Sequence[str]) -> bytes:
        """HTML of a card, by the parts of its path.

        Raises:
            NotInDatastore: there is no such card.
        """
        run_id, step, task_id, attempt, card_id = parts
        if (number := whole_number(attempt)) is None:
            raise NotInDatastore(f"{attempt!r} is not an attempt.")
        key = layout.card(TaskName(self._flow, run_id, step, task_id).attempt(number), card_id)
        return self._storage.read_bytes(key)

    def _newest(self) -> Iterator[Card]:
        run_ids = self._latest() if self._run_id is None else [self._run_id]
        for run in self._catalogue.runs(self._flow, run_ids[:_RUNS]):
            if run is not None and self._namespace in {None, *run.user_tags, *run.system_tags}:
                yield from sorted(self._of_run(run), key=self._place)

    def _latest(self) -> list[str]:
        """Run ids, newest first. Ordering may read manifests, so it is done only when the list changes."""
        known, ordered = self._ordered
        there = list_runs(self._storage, self._flow)
        if there != known:
            ordered = self._catalogue.run_ids(self._flow)
            if len(ordered) == len(there):  # else a run has no manifest yet: order again next time
                self._ordered = (there, ordered)
        return ordered

    def _of_run(self, run: RunRecord) -> Iterator[Card]:
        run_id = run.run_id
        yield from self._stored(run_id, layout.run_folder(self._flow, run_id), run_id)
        if run.origin_run_id:  # the cards of a clone are stored with the original task
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
                    # An attempt stores its manifest last, so a card without one is of an unfinished attempt.
                    "running": layout.task_manifest(name) not in keys,
                    "path": "/card/" + "/".join(quote(each, safe="") for each in names),
                }

    def _place(self, card: Card) -> tuple[int, str, int, str]:
        # Steps that the flow no longer has come last.
        later = self._steps.index(card["step"]) if card["step"] in self._steps else -1
        return -later, card["name"], -card["attempt"], card["id"]


class _Handler(BaseHTTPRequestHandler):
    """Handler of ``/`` (the page), ``/cards`` (the list, as JSON) and ``/card/...`` (one card)."""

    server: ThreadingHTTPServer
    cards: RunCards
    most: int
    page: str

    def do_GET(self) -> None:
        port = self.server.server_port
        # DNS rebinding: another site may let its own name resolve to 127.0.0.1, so that its scripts may
        # read these pages. Their requests carry that name.
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
        # A card of a running task changes under the same address.
        for name, value in {"Cache-Control": "no-store", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing: a page that refreshes every few seconds would fill the terminal."""
