"""Client of Airflow's REST API (version 2), with the standard library alone: no Airflow has to be installed.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from airflow_conda_flow.errors import LaunchError
from airflow_conda_flow.settings.airflow_api import TOKEN_VARIABLE, URL_VARIABLE, ApiPlace

_SECONDS = 60.0
"""Limit for one answer: an API server with much to do takes its time, and none may be waited for forever."""
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try. What can pass (no connection, 429, an error of the server) is tried again."""
_LONGEST = 300  # characters of an answer that an error quotes


class Refused(LaunchError):
    """Airflow's API answers a request with an error.

    Attributes:
        status: status of HTTP.
        is_repeated: True if the request was sent before, so that the first one may have succeeded.
    """

    def __init__(self, message: str, status: int, *, is_repeated: bool) -> None:
        super().__init__(message)
        self.status = status
        self.is_repeated = is_repeated


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Handler that follows no redirect: urllib would send the token to another host, and a POST as a GET."""

    def redirect_request(self, *_arguments: Any, **_keywords: Any) -> None:
        """Follow nothing; the redirect becomes an ``HTTPError``."""


class AirflowApi:
    """Requests to one API server.

    Args:
        place: its address, and the token.
    """

    def __init__(self, place: ApiPlace) -> None:
        self._place = place
        self._opener = urllib.request.build_opener(_NoRedirect)

    @property
    def url(self) -> str:
        """Address of the server, which is also that of Airflow's pages."""
        return self._place.url

    @property
    def _where(self) -> str:
        return f"{self._place.source} names this address; set {URL_VARIABLE} to that of your Airflow 3."

    def get(self, *path: str, **query: Any) -> dict[str, Any]:
        """Answer to a GET request; see ``_ask``."""
        return self._ask("GET", path, query, None)

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer to a POST request; see ``_ask``."""
        return self._ask("POST", path, {}, body)

    def patch(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer to a PATCH request; see ``_ask``."""
        return self._ask("PATCH", path, {}, body)

    def _ask(
        self, method: str, path: tuple[str, ...], query: Mapping[str, Any], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """JSON object that the server answers with.

        Args:
            method: method of HTTP.
            path: parts of the path below ``/api/v2``; they are quoted.
            query: keywords after the path.
            body: object to send as JSON.

        Raises:
            Refused: the server refuses the request.
            LaunchError: it cannot be reached, or is not Airflow's.
        """
        url = f"{self.url}/api/v2/{'/'.join(quote(each, safe='') for each in path)}"
        if query:
            url += f"?{urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        # S310: ApiPlace has an address of http or https alone.
        request = urllib.request.Request(url, data, method=method)  # noqa: S310
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self._place.token:
            request.add_header("Authorization", f"Bearer {self._place.token}")
        return self._as_object(self._answer(request))

    def _answer(self, request: urllib.request.Request) -> bytes:
        failure: LaunchError | None = None
        for number, pause in enumerate(_PAUSES):
            time.sleep(pause)
            try:
                with self._opener.open(request, timeout=_SECONDS) as answer:
                    return bytes(answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    failure = self._refused(error, is_repeated=number > 0)
                may_pass = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
                if not may_pass and error.code != HTTPStatus.TOO_MANY_REQUESTS:
                    break
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                failure = LaunchError(
                    f"Airflow's API at {self.url} cannot be reached: {reason}. {self._where}"
                )
        raise failure or RuntimeError("no try was made") from None

    def _as_object(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            said = _shortened(content.decode("utf-8", "replace"))
            raise LaunchError(f"{self.url} does not answer as Airflow's API does: {said!r}. {self._where}")
        return found

    def _refused(self, error: urllib.error.HTTPError, *, is_repeated: bool) -> Refused:
        try:
            said = _detail(error.read())
        except (OSError, HTTPException):
            said = ""
        # Airflow answers 403 for a token that is none, and 401 without a token or for one that has expired.
        if error.code == HTTPStatus.UNAUTHORIZED or "token" in said.lower():
            has = "refuses the token of" if self._place.token else "wants a token; there is none in"
            message = (
                f"Airflow's API at {self.url} {has} {TOKEN_VARIABLE}. A POST of username and password to "
                f"{self.url}/auth/token gives one."
            )
        elif error.code == HTTPStatus.FORBIDDEN:
            message = (
                f"Airflow's API at {self.url} does not allow this to the user of {TOKEN_VARIABLE}: {said}"
            )
        elif error.code in range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST):
            target = error.headers.get("Location", "")
            message = f"{self.url} redirects to {target}. Set {URL_VARIABLE} to where Airflow's API is."
        else:
            message = f"Airflow's API at {self.url} answers {error.code} {error.reason}: {said}"
        return Refused(message.rstrip(": "), error.code, is_repeated=is_repeated)


def _detail(content: bytes) -> str:
    """First line of the explanation in an error's answer.

    >>> _detail(b'{"detail": [{"loc": ["body", "conf"], "msg": "Input should be a dict"}]}')
    'body.conf: Input should be a dict'
    """
    text = content.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        return _shortened(text)
    detail = found.get("detail", found) if isinstance(found, dict) else found
    if isinstance(detail, list):
        problems = [each for each in detail if isinstance(each, dict)]
        detail = "; ".join(
            f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg', each)}" for each in problems
        )
    return _shortened(detail if isinstance(detail, str) else json.dumps(detail))


def _shortened(text: str) -> str:
    line = next((each.strip() for each in text.splitlines() if each.strip()), "")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
