"""``profile``: measures how long a part of a step takes."""

import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping


@contextmanager
def profile(label: str, stats_dict: "MutableMapping[str, int] | None" = None) -> "Iterator[None]":
    """Measure the duration of the block, and print it or add it to a dictionary.

    Args:
        label: name of the block.
        stats_dict: dictionary whose value for the label grows by the milliseconds; if None, they are printed.

    >>> times = {}
    >>> with profile("sum", times):
    ...     total = sum(range(10))
    >>> list(times)
    ['sum']
    """
    if stats_dict is None:
        print("PROFILE: %s starting" % label)
    start = time.time()
    yield
    took = int((time.time() - start) * 1000)
    if stats_dict is None:
        print("PROFILE: %s completed in %dms" % (label, took))
    else:
        stats_dict[label] = stats_dict.get(label, 0) + took
