"""Which synapses get a picture."""

from __future__ import annotations

from connectomics.report.views import choose


def test_rare_errors_all_get_a_picture():
    kinds = ["missed"] * 10 + ["true"] * 5 + ["flipped"] * 3 + ["false"] * 10
    chosen = [kinds[row] for row in choose(kinds, 9)]
    assert {kind: chosen.count(kind) for kind in set(kinds)} == {
        "flipped": 3,
        "missed": 3,
        "false": 3,
        "true": 0,
    }
    assert len(choose(kinds, 25)) == 25
