"""A proxy before an S3 server that fails, resets, truncates, corrupts and stalls by a seed.

What happens to a request follows from the seed, the request, and how often it came before, so a seed does the
same again, whatever order the threads of a client have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import re
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .s3_servers import S3Server

    Choose = Callable[[str, str, int], str]
    """Fault of a request (``FAULTS`` or "pass"), by its method, its path, and how often it came before."""

FAULTS = {
    "fail": "503 SlowDown, and the request is not carried out",
    "broken": "500 InternalError, and the request is not carried out",
    "refuse": "500 InternalError, although the request was carried out",
    "reset": "the connection is reset, and the request is not carried out",
    "unanswered": "the connection is reset, although the request was carried out",
    "truncate": "the connection ends in the middle of the answer's body, or of its headers if it has none",
    "cut": "the connection ends in the middle of the answer's headers",
    "corrupt": "a byte of an object is another one",
    "stall": "nothing is answered, although the request was carried out",
    "hang": "the headers are answered, and half of the body",
    "trickle": "a byte of the answer each tenth of a second",
}
_ERROR = "<Error><Code>{}</Code><Message>by the faulty proxy</Message></Error>"


def by_seed(seed: int, rates: Mapping[str, float]) -> Choose:
    """Each fault for that part of the requests, drawn by the seed."""

    def choose(method: str, path: str, count: int) -> str:
        drawn = hashlib.sha256(f"{seed} {method} {_without_chance(path)} {count}".encode()).digest()
        place = int.from_bytes(drawn[:8], "big") / 2**64
        for fault, rate in rates.items():
            if place < rate:
                return fault
            place -= rate
        return "pass"

    return choose


def _without_chance(path: str) -> str:
    """Path without the parts that differ in every run: names of buckets, ids of uploads, tokens of lists.

    >>> _without_chance("/bucket-1f/a/key?partNumber=1&uploadId=Zx9")
    '/a/key?partNumber=1&uploadId='
    """
    return re.sub(r"(uploadId|continuation-token)=[^&]*", r"\1=", re.sub(r"^/[^/?]+", "", path))


def first(fault: str, method: str, times: int = 1) -> Choose:
    """The fault for the first requests of that method for each path, and none afterwards."""
    return lambda asked, _, count: fault if asked == method and count < times else "pass"


@dataclasses.dataclass
class FaultyS3:
    """A running proxy. ``happened`` counts the faults; ``server`` is the server behind it, as seen through it."""

    server: S3Server
    happened: Counter[str]


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server: S3Server, choose: Choose) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(server.endpoint).netloc
        self.choose = choose
        # rclone's writes are no single actions: one that the client gave up, and that still goes on, would disturb
        # its repetition, which S3 never does.
        self.writing = contextlib.nullcontext() if server.honours_conditions else threading.Lock()
        self.mutex = threading.Lock()
        self.came: Counter[tuple[str, str]] = Counter()
        self.happened: Counter[str] = Counter()
        self.ended = threading.Event()

    def fault(self, method: str, path: str) -> str:
        with self.mutex:
            count = self.came[method, path]
            self.came[method, path] += 1
            fault = self.choose(method, path, count)
            self.happened[fault] += 1
            return fault

    def handle_error(self, *_: object) -> None:
        """Clients that give up are expected."""


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fault = self.server.fault(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "reset":
            self._reset()
        elif fault in {"fail", "broken"}:
            self._refuse("SlowDown" if fault == "fail" else "InternalError", 503 if fault == "fail" else 500)
        else:
            with contextlib.nullcontext() if self.command in {"GET", "HEAD"} else self.server.writing:
                status, headers, data = self._forward(body)
            self._answer(fault, status, headers, data)

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815  the names that http.server calls

    def log_message(self, *_: object) -> None:
        pass

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        with contextlib.closing(connection):
            # The signature is over the Host that the client wrote, so all headers are passed on as they are.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            data = answer.read()
            kept = [
                each
                for each in answer.getheaders()
                if each[0].lower() not in {"connection", "transfer-encoding"}
            ]
        if not any(name.lower() == "content-length" for name, _ in kept):
            kept.append(("Content-Length", str(len(data))))
        return answer.status, kept, data

    def _answer(self, fault: str, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        # Lists have no digest by which anybody could notice.
        is_object = "/" in urlsplit(self.path).path.strip("/") and "uploadId=" not in self.path
        if fault == "corrupt" and self.command == "GET" and is_object and status in {200, 206} and data:
            place = len(data) // 2
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        head = f"HTTP/1.1 {status} {http.client.responses.get(status, '')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers)
        sent = head.encode("latin-1") + b"\r\n" + (b"" if self.command == "HEAD" else data)
        start = len(head) + 2  # of the body
        if fault == "unanswered":
            self._reset()
        elif fault == "refuse":
            self._refuse("InternalError", 500)
        elif fault == "stall":
            self._wait()
        elif fault == "trickle":
            self._trickle(sent)
        elif fault in {"truncate", "hang", "cut"}:
            at = (start + len(sent)) // 2 if len(sent) > start and fault != "cut" else start // 2
            self.wfile.write(sent[:at])
            if fault == "hang":
                self._wait()
            self.close_connection = True
        else:
            self.wfile.write(sent)

    def _refuse(self, code: str, status: int) -> None:
        data = _ERROR.format(code).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _trickle(self, sent: bytes) -> None:
        for place in range(len(sent)):
            self.wfile.write(sent[place : place + 1])
            if self.server.ended.wait(0.1):
                break
        self.close_connection = True

    def _wait(self) -> None:
        """Until the proxy ends, or the client has gone."""
        self.connection.settimeout(0.2)
        while not self.server.ended.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    break
        self.close_connection = True

    def _reset(self) -> None:
        # Closed with this option, the other side gets a reset instead of an end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()


@contextlib.contextmanager
def faulty(server: S3Server, choose: Choose) -> Iterator[FaultyS3]:
    """A proxy before the server, until the block ends."""
    proxy = _Proxy(server, choose)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    seen = dataclasses.replace(
        server, name=f"faulty {server.name}", endpoint=f"http://127.0.0.1:{proxy.server_port}"
    )
    try:
        yield FaultyS3(seen, proxy.happened)
    finally:
        proxy.ended.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join()
