"""Damages files, has them read in a process of its own, and reports what should not have come up.

python tests/fuzz/campaign.py --count 100            # of every seed
python tests/fuzz/campaign.py --seeds hdf5 png --first 17 --count 1 --keep somewhere
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

from damage import Random, damage_bytes, damage_json, odd_attributes, odd_dataset  # noqa: E402
from seeds import SEEDS, Seed, files_of  # noqa: E402

SECONDS = 10.0
"""Of computing that a file may take before it counts as hung; of waiting, `PATIENCE` times that."""

PATIENCE = 30
SECONDS_TO_START = 600.0


@dataclass(frozen=True)
class Finding:
    """A file that did what no file may do; `case` makes it again."""

    seed: str
    case: int
    damage: str
    what: str

    def __str__(self) -> str:
        return f"{self.seed!r}, case {self.case} ({self.damage}): {self.what}"


@dataclass
class Tally:
    """How many files were read, how many refused, and what went wrong."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    @property
    def files(self) -> int:
        """How many were damaged and used."""
        return sum(self.outcomes.values())

    def table(self) -> str:
        """One row per seed."""
        names = ("read", "refused", "fault", "hung", "crashed", "silent")
        rows = [f"{'seed':24}" + "".join(f"{name:>9}" for name in names)]
        for seed in dict.fromkeys(seed for seed, _ in self.outcomes):
            counts = "".join(f"{self.outcomes[seed, name]:9}" for name in names)
            rows.append(f"{seed:24}{counts}")
        return "\n".join(rows)


class Worker:
    """The reading process, started anew when a file has ended it.

    It begins with a whole file of each kind: what it then loads and compiles is no fault of a
    damaged one, and takes longer than a file may.
    """

    def __init__(self, folder: Path, whole: Mapping[str, str]) -> None:
        self.folder = folder
        self.whole = whole
        self._process: subprocess.Popen[str] | None = None

    def use(self, kind: str, source: str) -> tuple[str, str]:
        """Put a file to use: "read", "refused", "fault", "hung" or "crashed", and more about it."""
        process = self._running()
        self._send(process, kind, source)
        began, computed = time.perf_counter(), _computed(process.pid)
        while True:
            reply = self._reply(process, 1.0)
            if reply is not None:
                return reply
            if process.poll() is not None:
                break
            waited = (time.perf_counter() - began) / PATIENCE
            if max(_computed(process.pid) - computed, waited) > SECONDS:
                self.stop()
                return "hung", f"no answer within {SECONDS:.0f} s"
        return "crashed", f"the process ended with {process.returncode}: {self._log()}"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            command = [sys.executable, str(HERE / "worker.py"), str(self.folder), *self.whole]
            with (self.folder / "worker.log").open("w") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    cwd=self.folder,
                    env={**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"},
                )
            if self._reply(self._process, SECONDS_TO_START) is None:
                raise RuntimeError(f"the reading process does not start: {self._log()}")
            for kind, source in self.whole.items():
                self._send(self._process, kind, source)
                self._reply(self._process, SECONDS_TO_START)
        return self._process

    def _send(self, process: subprocess.Popen[str], kind: str, source: str) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps([kind, source]) + "\n")
        process.stdin.flush()

    def _reply(self, process: subprocess.Popen[str], seconds: float) -> tuple[str, str] | None:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], seconds)[0]:
            return None
        line = process.stdout.readline()
        if not line:
            process.wait(timeout=30)
            return None
        outcome, detail = json.loads(line)
        return outcome, detail

    def _log(self) -> str:
        return (self.folder / "worker.log").read_text(errors="replace")[-1500:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _computed(pid: int) -> float:
    """Seconds of processor time of a process; on a busy machine, waiting says little."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_campaign(
    names: Sequence[str],
    cases: Sequence[int],
    folder: Path,
    *,
    keep: Path | None = None,
) -> Tally:
    """Damage each of the seeds once for each case, until Ctrl-C.

    Args:
        names: Of `SEEDS`.
        cases: Numbers that decide what is damaged.
        folder: To work in.
        keep: Where files go that did something they may not do.
    """
    tally = Tally()
    whole = {name: _make(name, folder / "whole") for name in names}
    with Worker(folder, {SEEDS[name].kind: source for name, source in whole.items()}) as worker:
        undamaged = {}
        for name, source in whole.items():
            outcome = worker.use(SEEDS[name].kind, source)
            if outcome[0] != "read":
                tally.findings.append(Finding(name, -1, "none", f"{outcome}"))
            undamaged[name] = outcome[1]
        with contextlib.suppress(KeyboardInterrupt):
            for case in cases:
                for name in names:
                    _one(name, case, whole[name], undamaged[name], worker, tally, keep)
    return tally


def _one(
    name: str,
    case: int,
    whole: str,
    undamaged: str,
    worker: Worker,
    tally: Tally,
    keep: Path | None,
) -> None:
    seed = SEEDS[name]
    folder = worker.folder / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    original = worker.folder / "whole" / name.replace(" ", "_").replace(",", "")
    shutil.copytree(original, folder)
    source = whole.replace(str(original), str(folder))
    random = np.random.default_rng([case, *name.encode()])
    damage, protected = _damage(seed, source, random)
    began = time.perf_counter()
    outcome, detail = worker.use(seed.kind, source)
    tally.slowest = max(tally.slowest, (time.perf_counter() - began, f"{name} {case}"))
    if outcome == "read" and protected and detail != undamaged:
        outcome, detail = "silent", "other values were read, in spite of the format's checksums"
    tally.outcomes[name, outcome] += 1
    if outcome not in ("read", "refused"):
        tally.findings.append(Finding(name, case, damage, f"{outcome}: {detail}"))
        print(f"{tally.findings[-1]}\n", flush=True)
        if keep is not None:
            kept = keep / f"{name} {case}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept)


def _make(name: str, parent: Path) -> str:
    folder = parent / name.replace(" ", "_").replace(",", "")
    folder.mkdir(parents=True)
    return SEEDS[name].make(folder)


def _damage(seed: Seed, source: str, random: Random) -> tuple[str, bool]:
    """Damage a file: how, and whether all of it lies where checksums are kept."""
    choices = ["bytes", "bytes", *seed.damages, *(["sums"] if seed.checksummed else [])]
    match choices[random.integers(len(choices))]:
        case "sums":
            return _damage_sums(seed, source, random)
        case "json":
            return _damage_json(source, random), False
        case "attributes":
            return odd_attributes(files_of(source)[0], random), False
        case "dataset":
            name = source.partition("::")[2] or _first_dataset(files_of(source)[0])
            return odd_dataset(files_of(source)[0], name, random), False
    files = files_of(source)
    if Path(source).is_dir() and random.random() < 0.15:
        return _damage_folder(files, random), False
    file = files[random.integers(len(files))]
    data, how = damage_bytes(file.read_bytes(), random)
    file.write_bytes(data)
    # A checkpoint is a zip file, which has a checksum of every part.
    return f"{how} in {file.name}", seed.kind == "checkpoint"


def _damage_sums(seed: Seed, source: str, random: Random) -> tuple[str, bool]:
    assert seed.checksummed is not None
    ranges = seed.checksummed(source)
    file, start, stop = ranges[random.integers(len(ranges))]
    data = bytearray(file.read_bytes())
    part, how = damage_bytes(bytes(data[start:stop]), random)
    part = part[: stop - start].ljust(stop - start, b"\0")
    data[start:stop] = part
    file.write_bytes(data)
    return f"{how} in the data of {file.name}", True


def _damage_json(source: str, random: Random) -> str:
    documents = [f for f in files_of(source) if f.name in ("zarr.json", ".zarray", ".zattrs")]
    file = documents[random.integers(len(documents))]
    text = damage_json(file.read_text(), random)
    file.write_text(text)
    return f"{file.name} says {text[:2000]}"


def _damage_folder(files: Sequence[Path], random: Random) -> str:
    """Files that are missing, empty, exchanged, or folders."""
    first, second = (files[n] for n in random.integers(0, len(files), 2))
    match random.integers(4):
        case 0:
            first.unlink()
            return f"{first.name} is missing"
        case 1:
            first.write_bytes(b"")
            return f"{first.name} is empty"
        case 2:
            first.unlink()
            first.mkdir()
            return f"{first.name} is a folder"
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    return f"{first.name} and {second.name} are exchanged"


def _first_dataset(file: Path) -> str:
    import h5py

    found: list[str] = []
    with h5py.File(file) as opened:
        opened.visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
        )
    return found[0]


def _arguments() -> Iterator[Any]:
    parser = argparse.ArgumentParser(description="Read damaged files.")
    parser.add_argument("--seeds", nargs="+", default=[*SEEDS], choices=[*SEEDS])
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=100, help="cases of every seed")
    parser.add_argument("--keep", type=Path, help="folder for files that did what they may not")
    yield parser.parse_args()


def main() -> None:
    """Run it from the command line."""
    (options,) = _arguments()
    cases = range(options.first, options.first + options.count)
    with tempfile.TemporaryDirectory() as folder:
        tally = run_campaign(options.seeds, cases, Path(folder), keep=options.keep)
    print(tally.table())
    print(f"{tally.files} files, {len(tally.findings)} findings; slowest: {tally.slowest}")


if __name__ == "__main__":
    main()
