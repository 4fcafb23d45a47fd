"""What Dask workers are worth, and what it costs to lose one, or their scheduler.

    python benchmarks/workers.py                  # one worker and two, then 30 losses of each mode
    python benchmarks/workers.py --times 0        # the time alone
    python benchmarks/workers.py --no-time --mode decode --times 10 --seed 1

The scheduler, and workers with a folder of their own each, are programs beside the command, which
is told their address. **Time**: a volume of a GiB (that of `benchmarks/scale.py`) is decoded and
scored by one worker and by two, of one thread each; printed are the seconds of the passes, which
workers share, and those of the whole command. **Losses**: infer and decode work on tiny volumes in
blocks (those of `benchmarks/robustness.py`) until, at a random moment, the command, a worker or
the scheduler gets a SIGKILL, one after the other. A command that lost a worker has to end well by
itself.
Otherwise what was lost is started anew and the command is given again; what it leaves is compared,
bit for bit, with what it leaves undisturbed. The columns are those of `benchmarks/robustness.py`;
`survived` counts commands that ended well without being given again.

Needs the `dask` extra, and Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import robustness
import scale

PORT = 18811
ADDRESS = f"tcp://127.0.0.1:{PORT}"
TARGETS = ("command", "worker", "scheduler")
COLUMNS = ("killed", "survived", "again", "identical", "half", "left", "twice", "hung")
BLOCK = [8, 32, 32]
EXECUTOR = f"system.executor={{name: dask, scheduler: '{ADDRESS}'}}"

ONE_THREAD = "system.num_threads=1"
"""Two workers are then twice what one is; otherwise one takes all CPUs of the machine at times."""


class Loss(NamedTuple):
    """What is killed, after how many seconds, and which of two workers."""

    target: str
    after: float
    worker: int


class Cluster:
    """A scheduler and its workers, as programs of their own."""

    def __init__(self, folder: Path, workers: int) -> None:
        """Where each worker has its folder, and how many there are; begins when it is entered."""
        self.folder, self.number = folder, workers
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        folder.mkdir(exist_ok=True)

    def __enter__(self) -> Cluster:
        self.complete()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def complete(self) -> None:
        """Start all that is not there, and wait until it answers."""
        from distributed import Client

        if self.scheduler is None or self.scheduler.poll() is not None:
            self.end()
            self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(PORT))
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < self.number:
            self.workers.append(self._start("worker", ADDRESS, "--nthreads", "1", "--no-nanny"))
        with Client(ADDRESS, timeout=60) as client:
            client.wait_for_workers(self.number, timeout=120)

    def end(self) -> None:
        """End all of them."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
            process.wait()
        self.workers, self.scheduler = [], None

    def kill(self, loss: Loss) -> None:
        """Kill a worker or the scheduler."""
        process = self.scheduler if loss.target == "scheduler" else self.workers[loss.worker]
        assert process is not None
        process.kill()
        process.wait()

    def _start(self, part: str, *arguments: str) -> subprocess.Popen[bytes]:
        place = Path(tempfile.mkdtemp(prefix=f"{part}_", dir=self.folder))
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments]
        log = (place / "log").open("wb")
        return subprocess.Popen([*command, "--no-dashboard"], cwd=place, stdout=log, stderr=log)


def main() -> int:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description="Time Dask workers, and lose them.")
    parser.add_argument("--no-time", action="store_true", help="leave out one worker against two")
    parser.add_argument("--gib", type=float, default=1.0, choices=[*scale.SHAPES])
    parser.add_argument("--repeats", type=int, default=1, help="of each time; the best counts")
    parser.add_argument("--mode", nargs="+", default=["infer", "decode"])
    parser.add_argument("--times", type=int, default=30, help="losses in each mode")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workers_") as name:
        if not options.no_time:
            time_of_workers(Path(name) / "time", options.gib, options.repeats)
        return lose(Path(name), options.mode, options.times, options.seed) if options.times else 0


def time_of_workers(folder: Path, gib: float, repeats: int) -> None:
    """Decode and score with one worker and two, and say how much sooner two are done."""
    folder.mkdir()
    os.chdir(folder)
    Path("my.yaml").write_text(json.dumps(scale.CONFIG))
    scale.in_child(lambda: scale.command("train", None))
    (checkpoint,) = Path().glob("outputs/scale/*/checkpoints/last.ckpt")
    scale.in_child(lambda: scale.make(scale.SHAPES[gib]))
    scale.in_child(lambda: scale.command("infer", checkpoint))
    results = checkpoint.parents[1] / "results"
    seconds: dict[tuple[str, int], tuple[float, float]] = {}
    for workers in (1, 2) * repeats:
        with Cluster(folder / "parts", workers):
            for mode in ("decode", "evaluate"):
                began = time.perf_counter()
                scale.in_child(lambda mode=mode: timed(mode, checkpoint))
                whole = time.perf_counter() - began
                now = float(Path("passes.txt").read_text()), whole
                seconds[mode, workers] = min(seconds.get((mode, workers), now), now)
        shutil.rmtree(next(results.glob("*/labels.zarr")))
        (results / "scores.json").unlink()
    for mode in ("decode", "evaluate"):
        times = zip(("passes", "command"), seconds[mode, 1], seconds[mode, 2], strict=True)
        for what, one, two in times:
            by = f"{one:.1f} s by one worker, {two:.1f} s by two: {one / two:.2f} x"
            print(f"{mode}, {what}: {by}")


def timed(mode: str, checkpoint: Path) -> int:
    """Decode or score, and write down how long the passes took."""
    from connectomics.pipeline.by_block import parts

    run_tasks, seconds = parts.run_tasks, 0.0

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal seconds
        began = time.perf_counter()
        tally = run_tasks(*arguments, **settings)
        seconds += time.perf_counter() - began
        return tally

    with mock.patch.object(parts, "run_tasks", counted):
        status = scale.command(mode, checkpoint, EXECUTOR, ONE_THREAD)
    Path("passes.txt").write_text(str(seconds))
    return status


def lose(folder: Path, modes: Sequence[str], times: int, seed: int) -> int:
    """Lose the command, a worker and the scheduler in turn, and print how the modes took it."""
    random, counts, problems = np.random.default_rng(seed), Counter[tuple[str, str]](), []
    robustness.CONFIG["system"].update(
        block_size=BLOCK, executor={"name": "dask", "scheduler": ADDRESS}
    )
    robustness.load_libraries(folder)
    with Cluster(folder / "parts", 2) as cluster:
        for mode in modes:
            usual = robustness.undisturbed(folder, mode)
            for number in range(robustness.TRIES * times):
                if counts[mode, "killed"] == times:
                    break
                target = TARGETS[number % len(TARGETS)]
                cluster.complete()
                loss = Loss(target, random.uniform(0, usual.seconds), int(random.integers(2)))
                problems += lose_once(cluster, loss, folder / "work", mode, usual, counts)
    print("\n".join(problems))
    robustness.print_table(modes, counts, "kills", COLUMNS)
    return 1 if problems else 0


def lose_once(
    cluster: Cluster,
    loss: Loss,
    work: Path,
    mode: str,
    usual: robustness.Undisturbed,
    counts: Counter[tuple[str, str]],
) -> list[str]:
    """Start a mode, kill something after a while, and repeat the mode if it did not end well."""
    target, after, _ = loss
    place = f"{mode}, {target} killed after {after:.2f} s"
    robustness.copy(usual.start, work)
    arguments = robustness.arguments_of(mode, work)
    if target == "command":
        ended = robustness.run(arguments, work, kill=(after, signal.SIGKILL))
    else:
        timer = threading.Timer(after, cluster.kill, [loss])
        timer.start()
        ended = robustness.run(arguments, work)
        if timer.is_alive():
            timer.cancel()
            return []  # it was faster than usual
        timer.join()
    if target == "command" and ended.status == 0:
        return []
    counts[mode, "killed"] += 1
    counts[mode, "survived"] += ended.status == 0
    problems = []
    if target == "worker" and ended.status != 0:
        problems.append(f"{place}: ended with {ended.status}: {ended.output[-1500:]}")
    if target == "scheduler" and (ended.status not in (0, 2) or "Traceback" in ended.output):
        problems.append(f"{place}: {ended.status}: {ended.output[-1500:]}")
    cluster.complete()
    return problems + robustness.judge(work, mode, usual, place, counts)


if __name__ == "__main__":
    sys.exit(main())
