"""Reads base64 and hexadecimal digits that are broken into lines as one text.

Tools such as ``base64``, ``openssl`` and ``xxd`` break lines after 60 to 76 letters. The break is a newline,
also as ``repr``, JSON and URLs spell it, and spaces may follow.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_LETTERS = b"A-Za-z0-9+/_-"
# URLs have percent signs in place of some letters.
_IN_URLS = b"%" + _LETTERS
SHORTEST_LINE = 16
"""Letters of a line that the next one may continue. With fewer, any two lines of words would be joined."""
LONGEST_END = SHORTEST_LINE + 2
"""Bytes of the end of a line that say whether the next one may continue it."""
LONGEST_BREAK = 48
"""Bytes of the longest break between two lines."""

_IN_LINE = b"(?<=[%s]{%d}" % (_IN_URLS, SHORTEST_LINE)
_CONTINUED = b"[ \t]{0,16}(?=[%s])" % _IN_URLS
# Each with its first byte: looking for that is quick, and the letters before it are compared only there.
_BREAKS = (
    (b"\n", re.compile(rb"\n(?:%s\n)|%s\r\n))" % (_IN_LINE, _IN_LINE) + _CONTINUED)),
    (b"\\", re.compile(rb"\\%s\\)\\{0,14}(?:r\\{1,15})?n" % _IN_LINE + _CONTINUED)),
    (b"%", re.compile(rb"%%%s%%)(?:0[Dd]%%)?0[Aa]" % _IN_LINE + _CONTINUED)),
)
_LAST_LINE = re.compile(rb"[%s]{%d}\r?\n\Z" % (_LETTERS, SHORTEST_LINE))


@dataclass(frozen=True)
class JoinedLines:
    """A text without the breaks between the lines of base64 and hexadecimal digits in it.

    Attributes:
        data: the text.
        places: where in it something was taken out, in order.
        breaks: start and stop of each of these, in the text as it was.
    """

    data: bytes
    places: list[int]
    breaks: list[tuple[int, int]]

    def pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Spans of the text as it was that this span of the joined text is made of."""
        first, last = bisect_right(self.places, start), bisect_right(self.places, stop - 1)
        starts = [self._before(start, first), *(each[1] for each in self.breaks[first:last])]
        stops = [*(each[0] for each in self.breaks[first:last]), self._before(stop, last)]
        return list(zip(starts, stops, strict=True))

    def _before(self, place: int, index: int) -> int:
        """The place in the text as it was, where ``index`` breaks precede it."""
        return place if not index else place - self.places[index - 1] + self.breaks[index - 1][1]


def joined(data: bytes) -> JoinedLines | None:
    """The text without the breaks between encoded lines; None if it has no such break."""
    breaks = []
    for first, pattern in _BREAKS:
        if (place := data.find(first, 0, -1)) < 0:
            continue
        for match in pattern.finditer(data, place):
            start, stop = match.span()
            breaks.append((start - data.startswith(b"\r\n", start - 1), stop))
    if not breaks:
        return None
    breaks.sort()
    parts, places, end, size = [], [], 0, 0
    for start, stop in breaks:
        parts.append(data[end:start])
        size += start - end
        places.append(size)
        end = stop
    return JoinedLines(b"".join([*parts, data[end:]]), places, breaks)


def may_continue(data: bytes) -> bool:
    """Whether the text ends with a line of letters, so that the next line may be part of the same base64."""
    return _LAST_LINE.search(data, max(len(data) - LONGEST_END, 0)) is not None
