"""Downloads survive what passes and say plainly what does not."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from airflow_conda_flow.environments import download as room
from airflow_conda_flow.environments.download import DownloadFailed, download

BODY = b"an archive " * 1000


@pytest.fixture
def make_server(monkeypatch):
    """A function: the URL of a server that answers one request after another as the list says."""
    monkeypatch.setattr(room, "_PAUSES_SECONDS", (0.01, 0.01))
    servers = []

    def make(*answers: str) -> str:
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answer = left.pop(0)
                self.send_response(200 if answer in {"whole", "half", "short"} else int(answer))
                body = {"half": BODY[:5000], "short": BODY[:5000], "whole": BODY}.get(answer, b"")
                self.send_header("Content-Length", str(len(BODY if answer == "half" else body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/six.conda"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "answers", [["whole"], ["half", "whole"], ["503", "429", "whole"], ["short", "whole"]]
)
def test_what_passes_is_tried_again(make_server, tmp_path, answers):
    """A cut connection and an overloaded server are tried again; each byte counts once."""
    counted = []
    got = download(make_server(*answers), tmp_path / "archive", len(BODY), counted.append)
    assert got == hashlib.sha256(BODY).hexdigest()
    assert (tmp_path / "archive").read_bytes() == BODY
    assert sum(counted) == len(BODY)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["404"], "the server answers 404 Not Found"),
        (["403"], "the server answers 403 Forbidden"),
        (["half"] * 3, "it ended after 5000 of 11000 bytes"),
        (["503"] * 3, "the server answers 503"),
    ],
)
def test_what_stays_is_said(make_server, tmp_path, answers, reason):
    """A lasting failure ends with the reason, and is not tried more often than it helps."""
    with pytest.raises(DownloadFailed, match=reason):
        download(make_server(*answers), tmp_path / "archive", len(BODY), lambda _size: None)


def test_a_server_that_is_not_there(tmp_path):
    """A refused connection is reported at once."""
    with pytest.raises(DownloadFailed, match="refused"):
        download("http://127.0.0.1:9/six.conda", tmp_path / "archive", 1, lambda _size: None)
