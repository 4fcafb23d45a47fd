"""One table of what costs how much: ours, how a user would do it otherwise, and their ratio.

    python benchmarks/bench.py                   # every row; writes benchmarks/table.json
    python benchmarks/bench.py --only decoder    # some parts, written nowhere
    python benchmarks/bench.py --only decoder --write    # some parts, into table.json
    python benchmarks/bench.py --check           # compares ratios with those of table.json
    python benchmarks/bench.py --gpu             # the rows of a GPU alone, into table.json

Both sides of a row are timed in turns in one process. With `--check`, rows whose ratio fell by
more than a fifth are named, and the exit status is 1. The network's rows are those of a GPU where
there is one; the table keeps the others it has, each with the machine it comes from.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from timing import Row

from connectomics.process.cpus import available_cpus

sys.path.insert(0, str(Path(__file__).parent))

TABLE = Path(__file__).parent / "table.json"
PARTS = ("decoder", "scores", "network", "cpu-bf16", "sliding", "patches")
ON_A_GPU = ("network", "sliding")
FALL = 0.8

_UNITS = {"avx512f": "AVX-512", "avx512_bf16": "bfloat16", "amx_bf16": "AMX"}

Entry = dict[str, Any]


def measure(parts: Sequence[str], *, small: bool) -> Iterator[Row]:
    """Every row of some parts, as they are measured."""
    for part in parts:
        yield from import_module(f"rows.{part.replace('-', '_')}").rows(small)


def machine() -> str:
    """What this machine is, in a few words."""
    known = [name for flag, name in _UNITS.items() if flag in _of_cpu("flags").split()]
    units = f" with {' and '.join(known)}" if known else ""
    cpu = f"{available_cpus()} cores of {_of_cpu('model name') or platform.machine()}{units}"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu}{gpu}, PyTorch {torch.__version__}"


def _of_cpu(what: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(what):
            return line.partition(":")[2].strip()
    return ""


def markdown(entries: Sequence[Entry]) -> str:
    """The table as the documentation shows it."""
    head = ("what", "size", "baseline", "ours", "baseline", "ratio", "memory", "of the ceiling")
    lines = [_line(head), _line(["---"] * len(head))]
    for entry in entries:
        row = _row(entry)
        memory = "" if row.ours_mib is None else f"{row.ours_mib:.0f} / {row.baseline_mib:.0f} MiB"
        share = "" if row.share is None else f"{row.share:.0%}"
        seconds = (f"{row.ours_s:.3g} s", f"{row.baseline_s:.3g} s", f"{row.ratio:.2f}")
        lines.append(_line((row.what, row.size, row.baseline, *seconds, memory, share)))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(entry: Entry) -> Row:
    return Row(**{name: value for name, value in entry.items() if name != "machine"})


def fallen(entries: Sequence[Entry], rows: Sequence[Row]) -> list[str]:
    """The rows whose ratio is less than four fifths of the table's."""
    before = {row.key: row.ratio for row in map(_row, entries)}
    return [
        f"{row.key}: {row.ratio:.2f}, and {before[row.key]:.2f} in the table"
        for row in rows
        if row.key in before and row.ratio < FALL * before[row.key]
    ]


def check(known: Sequence[Entry], rows: Sequence[Row]) -> int:
    """Say which ratios fell, and of how many that can be said; the exit status.

    Rows of the table that were not measured now are named, as those of a GPU where there is none.
    """
    keys = [_row(entry).key for entry in known]
    measured = {row.key for row in rows}
    compared = len(measured.intersection(keys))
    for key in keys:
        if key not in measured:
            print(f"{key}: not measured now")
    if not compared:
        print("the table has none of these rows, and nothing was compared", file=sys.stderr)
        return 2
    faults = fallen(known, rows)
    print("\n".join(faults) or f"no ratio fell by more than a fifth, of {compared} in the table")
    return bool(faults)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, then write or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument("--write", action="store_true", help="write what --only measures, too")
    parser.add_argument("--check", action="store_true", help="compare with the table")
    parser.add_argument("--gpu", action="store_true", help="only what runs on a GPU")
    parser.add_argument("--small", action="store_true", help="sizes for a quick look")
    options = parser.parse_args(arguments)
    if options.small and (options.check or options.write):
        parser.error("--small measures other rows than those of the table")
    if options.gpu and not torch.cuda.is_available():
        print("there is no GPU here; its rows stay as they are", file=sys.stderr)
        return 2
    parts = options.only or (ON_A_GPU if options.gpu else PARTS)
    known: list[Entry] = json.loads(TABLE.read_text()) if TABLE.is_file() else []
    rows = []
    for row in measure(parts, small=options.small):
        rows.append(row)
        print(f"{row.key}: {row.ratio:.2f} ({row.ours_s:.3g} s)", flush=True)
    if options.check:
        return check(known, rows)
    entries = [{**row.as_dict(), "machine": machine()} for row in rows]
    print(f"\n{machine()}\n\n{markdown(entries)}")
    if (options.write or not options.only) and not options.small:
        measured = {row.key for row in rows}
        kept = [entry for entry in known if _row(entry).key not in measured]
        TABLE.write_text(json.dumps([*entries, *kept], indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
