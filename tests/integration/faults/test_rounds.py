"""Rounds of work on a datastore while every fault of S3 happens, drawn by a seed.

``make faults ROUNDS=1000`` runs many, and says how often each fault happened and how the work ended. A round
that fails names its seed: ``make faults ROUNDS=1 SEED=17`` runs it again.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_conda_flow.datastore.publish import publish_once
from airflow_conda_flow.errors import CondaFlowError, NotInDatastore
from airflow_conda_flow.records.document import read_document, stored_bytes

from ...parts.faulty_s3 import by_seed
from ...parts.tally import CLEAR_ERROR, RIGHT

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
AT_ONCE = 4
RATES = {
    "fail": 0.04,
    "broken": 0.02,
    "refuse": 0.03,
    "reset": 0.03,
    "unanswered": 0.03,
    "truncate": 0.03,
    "cut": 0.02,
    "corrupt": 0.005,
    "stall": 0.005,
    "hang": 0.005,
}
# The request was carried out, and the answer says otherwise or does not arrive.
APPLIED = {"refuse": 0.07, "unanswered": 0.07, "truncate": 0.05, "cut": 0.01}


def work(storage, seed, folder):
    """A few writes, each of which is read again; what was read and what was written must be the same."""
    drawn = random.Random(seed)
    for number in range(6):
        data = drawn.randbytes(drawn.choice([0, 1, 1000, 100_000, 5_500_000]))
        digest = hashlib.sha256(data).hexdigest()
        path = folder / f"{seed}-{number}"
        path.write_bytes(data)
        storage.move_in(path, f"artifacts/{digest}", digest)
        storage.download(f"artifacts/{digest}", path, digest)
        assert path.read_bytes() == data
        path.unlink()
        document = stored_bytes({"version": 1, "number": number})
        stored = publish_once(storage, f"once/{seed}/{number}", document)
        assert read_document(stored, "the document", "")["number"] == number
        storage.write_bytes(f"plain/{seed}/{number}", data[:1000])
        assert storage.size(f"plain/{seed}/{number}") == len(data[:1000])
        assert f"plain/{seed}/{number}" in list(storage.list_keys(f"plain/{seed}/"))
        removed = list(storage.remove_old(f"plain/{seed}/{number}", -3600.0, lambda _: True))
        assert not removed or not storage.exists(f"plain/{seed}/{number}")


def outcome(act):
    """How a piece of work ended: right, one clear line, or otherwise, with the reason."""
    try:
        act()
    except NotInDatastore as error:
        return f"otherwise: {error!r}"  # it was written before
    except CondaFlowError as error:
        return "clear error" if "\n" not in str(error) else f"otherwise: {error!r}"
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return f"otherwise: {error!r}"
    return "right"


@pytest.mark.parametrize("rates", [RATES, APPLIED], ids=["all", "applied"])
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_round(make_faulty, server, tmp_path, seed, rates, tally):
    """Never a wrong result, never an error that is no line for people."""
    storage, proxy = make_faulty(by_seed(seed, rates))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = Counter(
            pool.map(
                lambda number: outcome(lambda: work(storage, seed * AT_ONCE + number, tmp_path)),
                range(AT_ONCE),
            )
        )
    faults = sum(proxy.happened.values()) - proxy.happened["pass"]
    faulty = "faults" if rates is RATES else "lost answers"
    kind = f"work during {faulty} of S3 ({server.name})"
    tally(kind, RIGHT, ends["right"], happened=faults)
    tally(kind, CLEAR_ERROR, ends["clear error"])
    print(f"seed {seed}, {storage.url}: {dict(ends)}; {dict(proxy.happened)}")
    assert not [each for each in ends if each.startswith("otherwise")], (seed, ends)
    assert faults > 0
