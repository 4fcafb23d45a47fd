"""The table of benchmarks names what became slower, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
bench = pytest.importorskip("bench")
timing = pytest.importorskip("timing")


def row(ours: float, baseline: float, what: str = "decode"):
    return timing.Row(what, "small", "numpy", ours, baseline, 10.0, 20.0, 0.5)


def test_a_ratio_that_fell_by_more_than_a_fifth_is_named():
    table = [{**row(1.0, 10.0).as_dict(), "machine": "m"}]
    assert bench.fallen(table, [row(1.0, 8.1)]) == []
    assert bench.fallen(table, [row(1.0, 7.9)]) == [
        "decode · small · numpy: 7.90, and 10.00 in the table"
    ]
    assert bench.fallen(table, [row(1.0, 1.0, "another")]) == []


def test_rows_that_the_table_lacks_do_not_pass_for_compared(capsys):
    table = [{**row(1.0, 10.0).as_dict(), "machine": "m"}]
    assert bench.check(table, [row(1.0, 10.0), row(1.0, 9.0, "another")]) == 0
    assert capsys.readouterr().out == "no ratio fell by more than a fifth, of 1 in the table\n"
    assert bench.check(table, [row(1.0, 7.0)]) == 1
    assert bench.check(table, [row(1.0, 10.0, "another")]) == 2
    assert "nothing was compared" in capsys.readouterr().err


def test_rows_that_were_not_measured_are_named(capsys):
    table = [{**row(1.0, 10.0, what).as_dict(), "machine": "m"} for what in ("decode", "on a GPU")]
    assert bench.check(table, [row(1.0, 10.0)]) == 0
    assert "on a GPU · small · numpy: not measured now\n" in capsys.readouterr().out


def test_some_parts_are_written_where_that_is_asked_for(tmp_path, monkeypatch):
    kept = {**row(1.0, 10.0, "kept").as_dict(), "machine": "another"}
    table = tmp_path / "table.json"
    table.write_text(json.dumps([kept]))
    monkeypatch.setattr(bench, "TABLE", table)
    monkeypatch.setattr(bench, "measure", lambda parts, small: [row(1.0, 3.0)])
    assert bench.main(["--only", "scores"]) == 0
    assert json.loads(table.read_text()) == [kept]
    assert bench.main(["--only", "scores", "--write"]) == 0
    first, second = json.loads(table.read_text())
    assert (first["what"], first["machine"], second) == ("decode", bench.machine(), kept)


def test_the_page_shows_the_table_that_is_compared_with():
    page = (ROOT / "docs" / "performance.md").read_text()
    table = json.loads(bench.TABLE.read_text())
    assert len(table) > 10
    for line in bench.markdown(table).splitlines()[2:]:
        whole = line.split(" | ")[:5]  # the ratio is of more digits than some rows were kept in
        assert " | ".join(whole) in page


def test_the_table_shows_what_was_measured():
    entry = {**row(2.0, 5.0).as_dict(), "machine": "m"}
    assert bench.markdown([entry]).splitlines()[-1] == (
        "| decode | small | numpy | 2 s | 5 s | 2.50 | 10 / 20 MiB | 50% |"
    )


def test_both_sides_run_and_the_fastest_counts():
    calls = []
    found = timing.versus(
        "x", "y", lambda: calls.append("ours"), ("z", lambda: calls.append("other")), repeats=2
    )
    assert calls == ["ours", "ours", "other", "ours", "other", "ours", "other"]
    assert found.ours_s > 0
    assert found.key == "x · y · z"
