"""A set of SHA-256 digests that takes 16 bytes for each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

# Bytes of a digest that are kept. Half of a SHA-256: two that are equal by chance would only keep something.
_WIDTH = 16
_SHARDS = 256
_FIRST_PACKING = 64 * 1024  # bytes of a shard from which digests that came twice are removed


class DigestSet:
    """Digests, as hex texts. A million take 16 MB, where Python's set takes 110 MB."""

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._shards = [bytearray() for _ in range(_SHARDS)]
        self._limits = [_FIRST_PACKING] * _SHARDS
        self._is_sorted = [True] * _SHARDS
        self.update(digests)

    def update(self, digests: Iterable[str]) -> None:
        """Add digests of 64 hex digits."""
        for each in digests:
            digest = bytes.fromhex(each[: 2 * _WIDTH])
            number = digest[0]
            shard = self._shards[number]
            shard += digest
            self._is_sorted[number] = False
            if len(shard) > self._limits[number]:
                self._pack(number)
                self._limits[number] = max(_FIRST_PACKING, 2 * len(self._shards[number]))

    def _pack(self, number: int) -> None:
        shard = bytes(self._shards[number])
        unique = sorted({shard[start : start + _WIDTH] for start in range(0, len(shard), _WIDTH)})
        self._shards[number] = bytearray(b"".join(unique))
        self._is_sorted[number] = True

    def __contains__(self, digest: str) -> bool:
        wanted = bytes.fromhex(digest[: 2 * _WIDTH])
        number = wanted[0]
        if not self._is_sorted[number]:
            self._pack(number)
        shard = self._shards[number]

        def at(place: int) -> bytes:
            return bytes(shard[place * _WIDTH : (place + 1) * _WIDTH])

        count = len(shard) // _WIDTH
        place = bisect_left(range(count), wanted, key=at)
        return place < count and at(place) == wanted

    def __len__(self) -> int:
        for number in range(_SHARDS):
            if not self._is_sorted[number]:
                self._pack(number)
        return sum(map(len, self._shards)) // _WIDTH
