"""Masking of secrets: in a step's lines, however they are spelled, and in its exception, cards and manifest.

A secret is found as it is, and as ``repr``, JSON, the ``repr`` of bytes, URLs, HTML, base64 and hexadecimal
digits spell it, the last two also if they are broken into lines.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_conda_flow.runner.broken_lines import (
    LONGEST_BREAK,
    LONGEST_END,
    SHORTEST_LINE,
    joined,
    may_continue,
)

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef, ExceptionRecord, Transition

_MASKED = b"***"
_SHORTEST = 3  # characters; masking one or two would mask parts of every line
# Bytes. Base64 of a shorter secret, between unknown neighbours, has so few certain letters that they occur in
# other texts too; so have its hexadecimal digits.
_SHORTEST_ENCODED = 6
# Backslashes before an escaped character: 15 are four levels, such as JSON in JSON in JSON in a ``repr``.
_SLASHES = rb"\\{1,15}"
_LETTERS = {"\t": b"t", "\n": b"n", "\r": b"r", "\b": b"b", "\f": b"f", "\v": b"v", "\a": b"a", "\0": b"0"}
_ENTITIES = {"&": b"&amp;", "<": b"&lt;", ">": b"&gt;", '"': b"&quot;", "'": b"&apos;"}
# No spelling but base64 changes these.
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]+")
_PIECES = re.compile(r"[A-Za-z0-9_.-]+|\\+|.", re.DOTALL)
# Bounds of the length of one character's spellings: 15 backslashes and ``U0001f600``, or four bytes of UTF-8
# as ``\xf0\x9f\x98\x80`` with 15 backslashes each.
_LONGEST_ASCII, _LONGEST_OTHER = 32, 80
# Fewest letters at the end of a line that are masked as the beginning of a secret, before the next line has
# arrived. With fewer, other texts would often be masked; two letters of base64 say a byte and a half.
_FEWEST_LETTERS = 3
_ENCODED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BASE64_LETTERS = {"+": rb"(?:[+-]|%2[Bb])", "/": rb"(?:[/_]|\\{1,15}/|%2[Ff])"}
_BASE64_LETTER = rb"(?:[A-Za-z0-9+/_-])?"
_BASE64_END = rb"(?:=|%3[Dd]){0,2}"


@dataclass(frozen=True)
class _Spelling:
    """A way to spell a secret.

    Attributes:
        part: bytes that every text with this spelling contains. Looking for them is far quicker than for the
            pattern, and nearly every line contains none.
        pattern: matches the spelling.
        longest: number of bytes that it matches at most.
        letters: those of an encoded secret that depend on no other byte; empty for other spellings.
        is_amid: whether a letter before these depends on the secret too.
    """

    part: bytes
    pattern: re.Pattern[bytes]
    longest: int
    letters: bytes = b""
    is_amid: bool = False

    def find(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where the data has this spelling."""
        return (match.span() for match in self.pattern.finditer(data)) if self.part in data else iter(())


class Mask:
    """Replaces secrets by ``***`` in the lines that a step prints, its exception, cards and manifest."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._spellings: list[_Spelling] = []
        self._encoded: list[_Spelling] = []
        self._longest = 0
        # By stream: its last lines, if the next one may continue the base64 in them.
        self._open: dict[str, bytes] = {}

    def hide(self, values: Iterable[str]) -> None:
        """Mask these values from now on; those of an earlier call are forgotten.

        The lines of a value are masked one by one, because lines are what is printed. Lines of fewer than
        three characters are not masked.
        """
        values = set(values)
        lines = {line for value in values for line in value.splitlines() if len(line) >= _SHORTEST}
        self._lines = sorted(lines, key=len, reverse=True)
        self._encoded = [
            spelling for each in _encoded(values | lines) for spelling in (*_in_base64(each), *_in_hex(each))
        ]
        self._spellings = [*map(_spelling, lines), *self._encoded]
        self._longest = max((each.longest for each in self._spellings), default=0)
        self._open.clear()

    def data(self, data: bytes) -> bytes:
        """The bytes with every secret replaced."""
        return _replaced(data, self._spans(data)) if self._spellings else data

    def lines(self, lines: list[bytes], stream: str = "") -> list[bytes]:
        """The lines with every secret replaced. Many at once cost far less than one by one.

        Args:
            lines: lines that follow each other; each but the last one ends with a newline.
            stream: name of the stream whose lines they are. Base64 that is broken into lines may arrive in
                several calls.
        """
        if not self._spellings:
            return lines
        whole = b"".join(lines)
        earlier = self._open.pop(stream, b"")
        data = earlier + whole
        spans = self._spans(data)
        if self._encoded and may_continue(data):
            begun = self._begun(data)
            first = min((start for start, _ in begun), default=len(data))
            self._open[stream] = data[max(first - LONGEST_END, 0) :]
            spans = _united(spans + begun)
        start = len(earlier)
        spans = [(max(each[0] - start, 0), each[1] - start) for each in spans if each[1] > start]
        if not spans:
            return lines
        # No span holds a newline: the lines of a secret are masked one by one, and so are those of base64.
        *ended, rest = _replaced(whole, spans).split(b"\n")
        return [line + b"\n" for line in ended] + ([rest] if rest else [])

    def cut(self, data: bytes) -> int:
        """Where the beginning of a line may be cut off, so that no secret is on both sides of the cut.

        Args:
            data: the line, so far.
        """
        if not self._spellings:
            return len(data)
        # A secret that begins before this place is complete.
        place = max(len(data) - self._longest + 1, 0)
        for start, stop in self._spans(data):
            if start < place < stop:
                return stop
        return place

    def exception(self, exception: ExceptionRecord) -> ExceptionRecord:
        """The exception record with every secret replaced in its texts."""
        if not self._spellings:
            return exception
        return {
            "type": self._text(exception["type"]),
            "full_type": self._text(exception["full_type"]),
            "message": self._text(exception["message"]),
            "traceback": self._text(exception["traceback"]),
        }

    def transition(self, transition: Transition | None) -> Transition | None:
        """The transition with every secret replaced in the names of its splits, which are shown as texts."""
        if not self._spellings or transition is None or transition["split_names"] is None:
            return transition
        return {**transition, "split_names": [self._text(name) for name in transition["split_names"]]}

    def artifacts(self, refs: dict[str, ArtifactRef]) -> dict[str, ArtifactRef]:
        """The references with every secret replaced in the previews; the values are what they are."""
        if not self._spellings:
            return refs
        masked = {name: ref["preview"] and self._preview(ref["preview"]) for name, ref in refs.items()}
        return {name: {**ref, "preview": masked[name]} for name, ref in refs.items()}

    def _preview(self, text: str) -> str:
        """The text with every secret replaced, also one of which the end was cut off."""
        text = self._text(text)
        kept = text.removesuffix("…")
        if kept != text:
            for line in self._lines:
                size = next((n for n in range(len(line), _SHORTEST - 1, -1) if kept.endswith(line[:n])), 0)
                if size:
                    return f"{kept[:-size]}{_MASKED.decode()}…"
        return text

    def _text(self, text: str) -> str:
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Places of secrets, in order; those that overlap are one."""
        spans = [span for spelling in self._spellings for span in spelling.find(data)]
        if self._encoded and (whole := joined(data)) is not None:
            for spelling in self._encoded:
                for start, stop in spelling.find(whole.data):
                    spans += whole.pieces(start, stop)
        return _united(spans)

    def _begun(self, data: bytes) -> list[tuple[int, int]]:
        """Places of encoded secrets whose last lines have not arrived; the data ends with a newline."""
        first = max(len(data) - self._longest, 0)
        text = data[first:].rstrip(b"\r\n")
        whole = joined(text)
        letters = (text if whole is None else whole.data).translate(_TO_STANDARD)
        size = len(letters)
        run = letters[len(letters.rstrip(_ENCODED)) :]
        spans = []
        for spelling in self._encoded:
            place = _beginning(run, spelling.letters)
            if place is not None:
                start = size - len(run) + max(place - spelling.is_amid, 0)
                spans += [(start, size)] if whole is None else whole.pieces(start, size)
        return [(start + first, stop + first) for start, stop in spans]


def _beginning(run: bytes, letters: bytes) -> int | None:
    """Where the run has the first of these letters, if the run ends before the letters do."""
    place = max(len(run) - len(letters), 0)
    while (place := run.find(letters[:_FEWEST_LETTERS], place)) >= 0:
        if letters.startswith(run[place:]):
            return place
        place += 1
    return None


def _united(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order; those that overlap are one."""
    united: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def _replaced(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The data with each of the spans replaced."""
    if not spans:
        return data
    parts, end = [], 0
    for start, stop in spans:
        parts += [data[end:start], _MASKED]
        end = stop
    return b"".join([*parts, data[end:]])


def _spelling(text: str) -> _Spelling:
    """Every spelling of a text, but those in base64: each character by itself or by one of its escapes."""
    patterns, longest = [], 0
    for piece in _PIECES.findall(text):
        patterns.append(_piece(piece))
        is_plain = _PLAIN.fullmatch(piece.encode("utf-8", "surrogatepass")) is not None
        longest += len(piece) * (1 if is_plain else _LONGEST_ASCII if piece.isascii() else _LONGEST_OTHER)
    runs = _PLAIN.findall(text.encode("utf-8", "surrogatepass"))
    return _Spelling(max(runs, key=len, default=b""), re.compile(b"".join(patterns)), longest)


def _piece(piece: str) -> bytes:
    """Pattern of a run of plain characters or of backslashes, or of one other character."""
    if piece[0] == "\\":
        # One quantifier for the run: with one for each backslash, a text of backslashes alone would take
        # the regular expression for ever.
        percent = _percent(b"\\")
        return rb"(?:\\{%d,%d}|(?:%s){%d})" % (len(piece), 16 * len(piece), percent, len(piece))
    if _PLAIN.fullmatch(piece.encode("utf-8", "surrogatepass")):
        return re.escape(piece.encode())
    return b"(?:%s)" % b"|".join(_spellings_of(piece))


def _spellings_of(character: str) -> Iterator[bytes]:
    """Patterns of a character that is no letter, digit or backslash."""
    code = ord(character)
    # A lone surrogate stands for a byte that is no UTF-8.
    raw = character.encode("utf-8", "surrogateescape" if 0xDC80 <= code <= 0xDCFF else "surrogatepass")  # noqa: PLR2004
    # Quotes are escaped according to what surrounds them, and a slash by some writers of JSON.
    slashes = rb"\\{0,15}" if character in "\"'/" else b""
    yield slashes + re.escape(raw)
    yield b"".join(map(_percent, (raw[i : i + 1] for i in range(len(raw)))))
    if character == " ":
        yield rb"\+"
    if character in _LETTERS:
        yield _SLASHES + _LETTERS[character]
    if character in _ENTITIES:
        yield slashes + _ENTITIES[character]
    yield slashes + rb"&#(?:0{0,4}%d|[xX]0{0,4}%s);" % (code, _hex(f"{code:x}"))
    if code <= 0xFF:  # noqa: PLR2004 - what two digits can say
        yield _SLASHES + b"x" + _hex(f"{code:02x}")
    if code <= 0xFFFF:  # noqa: PLR2004 - what four digits can say
        yield _SLASHES + b"u" + _hex(f"{code:04x}")
    else:
        yield _SLASHES + b"U" + _hex(f"{code:08x}")
        pair = character.encode("utf-16-be").hex()  # as JSON has it
        yield b"".join(_SLASHES + b"u" + _hex(half) for half in (pair[:4], pair[4:]))
    if not character.isascii():
        yield b"".join(_SLASHES + b"x" + _hex(f"{byte:02x}") for byte in raw)


def _percent(byte: bytes) -> bytes:
    """Pattern of a byte in a URL; URLs within URLs have ``%25`` for ``%``."""
    return b"%(?:25){0,3}" + _hex(byte.hex())


def _hex(digits: str) -> bytes:
    """Pattern of hexadecimal digits in either case."""
    return b"".join(
        b"[%s%s]" % (each.encode(), each.upper().encode()) if each.isalpha() else each.encode()
        for each in digits
    )


def _encoded(values: Iterable[str]) -> set[bytes]:
    """Bytes that somebody may encode: those of the values, as they are and as JSON has them."""
    found = set()
    for value in values:
        for text in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            found.add(text.encode("utf-8", "surrogateescape" if text == value else "surrogatepass"))
    return found


def _in_hex(data: bytes) -> Iterator[_Spelling]:
    """Spellings in hexadecimal digits of one case without anything between them, as ``bytes.hex`` writes."""
    if len(data) < _SHORTEST_ENCODED:
        return
    for digits in {data.hex().encode(), data.hex().upper().encode()}:
        yield _Spelling(digits, re.compile(digits), _with_breaks(len(digits)), digits)


def _in_base64(data: bytes) -> Iterator[_Spelling]:
    """Spellings in base64, also amid other bytes: three, since three bytes become four letters."""
    if len(data) < _SHORTEST_ENCODED:
        return
    for before in range(3):
        letters = base64.b64encode(bytes(before) + data).decode("ascii")
        # Letters that depend on no other byte; at both ends there may be one that does.
        first, stop = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        sure = letters[first:stop]
        pattern = b"".join(_BASE64_LETTERS.get(each, each.encode()) for each in sure)
        if before:
            pattern = _BASE64_LETTER + pattern
        if (before + len(data)) % 3:
            pattern += _BASE64_LETTER
        runs = re.findall(rb"[A-Za-z0-9]+", sure.encode())
        longest = _with_breaks(len(sure) + 16 * sum(sure.count(each) for each in _BASE64_LETTERS) + 8)
        part = max(runs, key=len, default=b"")
        yield _Spelling(part, re.compile(pattern + _BASE64_END), longest, sure.encode(), before > 0)


def _with_breaks(size: int) -> int:
    """Number of bytes of an encoded text at most, if it is broken into lines."""
    return size + LONGEST_BREAK * (size // SHORTEST_LINE + 1)
