"""Damaged files: each is read, or refused in plain words, within seconds, and nothing crashes."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from campaign import Tally, Worker, run_campaign
from damage import BYTE_DAMAGES, damage_bytes, damage_json
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import SEEDS

CASES = 100
SHORT_SEEDS = ("hdf5", "tiff, compressed", "png", "zarr 3, sharded", "zarr 2", "csv", "annotations")


def test_damaged_files(tmp_path):
    tally = run_campaign(SHORT_SEEDS, range(4), tmp_path)
    _expect_nothing_found(tally)
    assert tally.files == 4 * len(SHORT_SEEDS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["volume", "table", "annotations", "checkpoint", "results"])
def test_many_damaged_files(kind, tmp_path):
    names = [name for name, seed in SEEDS.items() if seed.kind == kind]
    tally = run_campaign(names, range(CASES), tmp_path)
    print(f"\n{tally.table()}")
    _expect_nothing_found(tally)
    assert tally.files == CASES * len(names)
    # A fuzzer under which everything or nothing breaks says little.
    assert sum(tally.outcomes[name, "read"] for name in names)
    assert all(tally.outcomes[name, "refused"] for name in names if kind != "results")


@pytest.mark.slow
def test_a_worker_outlives_what_it_is_given(tmp_path):
    with Worker(tmp_path, {}) as worker:
        missing = str(tmp_path / "missing.h5")
        assert worker.use("volume", missing)[0] == "refused"
        assert worker.use("no such kind", missing)[0] == "fault"


@given(st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=3000))
@settings(deadline=None, max_examples=50)
def test_damage_can_be_made_again(case, data):
    first, name = damage_bytes(data, np.random.default_rng(case))
    assert (first, name) == damage_bytes(data, np.random.default_rng(case))
    assert set(name.split(" and ")) <= {damage.__name__ for damage in BYTE_DAMAGES}


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_damaged_json_is_json(case):
    text = json.dumps({"shape": [1, 2], "codecs": [{"name": "bytes"}], "fill_value": 0})
    with contextlib.suppress(RecursionError):  # well-formed, but deeper than Python's reader goes
        json.loads(damage_json(text, np.random.default_rng(case)))


def _expect_nothing_found(tally: Tally) -> None:
    assert not tally.findings, "\n\n".join(map(str, tally.findings[:5]))
