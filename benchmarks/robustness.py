"""Kills each mode at random moments, fills the disk under it, and compares what a repetition gives.

    python benchmarks/robustness.py                      # 30 kills of each mode, 30 full disks
    python benchmarks/robustness.py --mode train tune --times 5 --full 0 --seed 1
    python benchmarks/robustness.py --blocks             # infer, decode and fused, block by block
    python benchmarks/robustness.py --mode test --blocks --executor processes --times 10 --full 0

Every fourth kill is a SIGTERM, the others are SIGKILL; moments are drawn evenly from the time that
the mode takes undisturbed. Then the same command runs again, a training with `--checkpoint` where
there is one, and what it leaves is compared, bit for bit, with what the mode leaves undisturbed.
Counted are, of the kills that met the program at work:

    again      the repetition ended well
    identical  its results are those of an undisturbed run
    half       a file with a final name was not whole right after the kill; a search that is asked
               to stop leaves the best so far
    left       the repetition left files that an undisturbed run does not leave
    twice      the repetition did a block of a pass again that was marked as done (with --blocks)
    hung       the repetition took ten times as long as undisturbed, and a minute

For full disks (needs root, for a small file system in memory; skipped otherwise) `said` counts
those that ended with an exit status that is not 0 and a message that says so, without a traceback.

Programs are forked from this one, which has loaded the libraries: so kills meet the work and not
the loading, and a run takes minutes. Volumes and network are tiny. `fused` is decode where no
probabilities are kept, with the network of `benchmarks/scale.py`, which finds the synapses.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

# Before libraries are loaded that begin threads, which a fork would not take along.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import h5py
import numpy as np
import scale

MODES = ("train", "infer", "decode", "evaluate", "test", "tune")
BY_BLOCKS = ("infer", "decode", "fused")
FUSED = "inference.save_probabilities=false"
SHAPE = (16, 64, 64)
RUN = "outputs/robust/run"
CHECKPOINT = f"{RUN}/checkpoints/last.ckpt"
DAMAGED = "damaged"
BEST_SO_FAR = ("train", "tune")
"""Modes that leave what they have, whole and not yet the last, where they are asked to stop."""
ALL_DONE = re.compile(r"steps are wanted, and \S+ has done")
"""Said of a training that was killed between its last checkpoint and its end."""
VOLATILE = ("config.yaml", "provenance.yaml", "study.journal")
"""Files with times or a history in them; that they can be read is tested by the repetition."""

CONFIG: dict[str, Any] = {
    "experiment_name": "robust",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "train.h5", "label": "train_label.h5"},
        "val": {"image": "val.h5", "label": "val_label.h5"},
        "test": {"image": ["a.h5", "b.h5"], "label": ["a_label.h5", "b_label.h5"]},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [8, 32, 32], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 8, "n_steps_per_epoch": 2},
    "inference": {"window": {"window_size": [8, 32, 32]}},
    "decoding": {"steps": ["polarity2instance"], "exports": ["parquet", "cremi"]},
    "evaluation": {"truth_encoding": "polarity"},
    "tune": {"trials": 8, "space": {"thres": [0.1, 0.9]}},
}


class Ended(NamedTuple):
    """How a program ended: its exit status, negative for a signal, or None where it hung."""

    status: int | None
    seconds: float
    output: str


@dataclass(frozen=True)
class Undisturbed:
    """A mode as it is when nothing happens.

    Attributes:
        start: The folder it starts from.
        seconds: How long it takes.
        digests: What its results are.
        written: Bytes it adds.
    """

    start: Path
    seconds: float
    digests: dict[str, str]
    written: int


def main() -> int:
    """Disturb the modes asked for, and print how they took it."""
    parser = argparse.ArgumentParser(description="Kill programs, and fill their disks.")
    parser.add_argument("--mode", nargs="+", choices=[*MODES, "fused"])
    parser.add_argument("--times", type=int, default=30, help="kills of each mode at work")
    parser.add_argument("--full", type=int, default=30, help="full disks, over all modes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blocks", action="store_true", help="work in blocks of 8 x 32 x 32")
    parser.add_argument("--executor", choices=["this_process", "processes", "dask"])
    options = parser.parse_args()
    options.mode = options.mode or [*(BY_BLOCKS if options.blocks else MODES)]
    if options.blocks:
        CONFIG["system"]["block_size"] = [8, 32, 32]
    if options.executor:
        CONFIG["system"]["executor"] = {"name": options.executor, "workers": 2}
    random = np.random.default_rng(options.seed)
    began, counts, problems = time.perf_counter(), Counter[tuple[str, str]](), []
    fills = {
        mode: len(range(n, options.full, len(options.mode))) for n, mode in enumerate(options.mode)
    }
    if os.geteuid() != 0:
        print("full disks are skipped: only root may mount a small file system")
        fills = dict.fromkeys(options.mode, 0)
    with tempfile.TemporaryDirectory(prefix="robustness_") as name:
        folder = Path(name)
        load_libraries(folder)
        for mode in options.mode:
            usual = undisturbed(folder, mode)
            for number in range(TRIES * options.times):
                if counts[mode, "killed"] == options.times:
                    break
                kill = (random.uniform(0, usual.seconds), SIGNALS[number % len(SIGNALS)])
                problems += kill_once(folder / "work", mode, usual, kill, counts)
                killed, same = counts[mode, "killed"], counts[mode, "identical"]
                print(f"{mode}: {killed} killed, {same} of them identical", flush=True)
            for _ in range(fills[mode]):
                free = int(usual.written * random.uniform(0, 1))
                problems += fill_once(folder, mode, usual, free, counts)
            print(f"{mode}: {time.perf_counter() - began:.0f} s", flush=True)
    print("\n".join(problems))
    print_table(options.mode, counts, "kills", ("killed", *AFTER_KILL))
    print_table(options.mode, counts, "full disks", ("full", *AFTER_FULL))
    return 1 if problems else 0


TRIES = 3
"""Kills that come too late are made again, this often."""

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
AFTER_KILL = ("SIGTERM", "again", "identical", "half", "left", "twice", "hung")
AFTER_FULL = ("said", "again", "identical", "half", "left", "hung")


def kill_once(
    work: Path,
    mode: str,
    usual: Undisturbed,
    kill: tuple[float, signal.Signals],
    counts: Counter[tuple[str, str]],
) -> list[str]:
    """Start a mode, end it after a while, and repeat it."""
    seconds, number = kill
    place = f"{mode}, {number.name} after {seconds:.2f} s"
    copy(usual.start, work)
    ended = run(arguments_of(mode, work), work, kill=kill)
    if ended.status == 0:
        return []  # it was faster than usual
    counts[mode, "killed"] += 1
    counts[mode, "SIGTERM"] += number is signal.SIGTERM
    problems = []
    # Before the program listens, a SIGTERM ends it as any other: nothing has been begun.
    if number is signal.SIGTERM and ended.status not in (128 + number, -number):
        problems.append(f"{place}: ended with {ended.status}: {ended.output[-1000:]}")
    return [*problems, *judge(work, mode, usual, place, counts)]


def fill_once(
    folder: Path, mode: str, usual: Undisturbed, free: int, counts: Counter[tuple[str, str]]
) -> list[str]:
    """Run a mode where little space is free, then give it space and repeat it."""
    place = f"{mode}, with {free} bytes free"
    key = f"{mode} "
    with small_disk(folder / "disk", size_of(usual.start) * 2 + usual.written * 4 + 2**22) as disk:
        work = disk / "work"
        copy(usual.start, work)
        fill(disk / "ballast", leave=free)
        ended = run(arguments_of(mode, work), work, log=folder / "log")
        (disk / "ballast").unlink()
        if ended.status == 0:
            return []
        counts[key, "full"] += 1
        said = ended.status == 2 and "No space left" in ended.output
        said = said and "Traceback" not in ended.output
        counts[key, "said"] += said
        problems = [] if said else [f"{place}: {ended.status}, {ended.output[-1500:]}"]
        return [*problems, *judge(work, mode, usual, place, counts, key=key)]


def judge(
    work: Path,
    mode: str,
    usual: Undisturbed,
    place: str,
    counts: Counter[tuple[str, str]],
    *,
    key: str | None = None,
) -> list[str]:
    """Look at what a disturbed mode left, repeat it, and look again."""
    key, problems = key or mode, []
    before, after = digests(usual.start), digests(work)
    known = {**usual.digests}
    half = [
        name
        for name, digest in after.items()
        if digest not in (before.get(name), known.get(name))
        and not kept(name)
        and mode not in BEST_SO_FAR
    ]
    half += [name for name, digest in after.items() if digest == DAMAGED and not kept(name)]
    if half:
        counts[key, "half"] += 1
        problems.append(f"{place}: not whole: {', '.join(half)}")
    log = work.parent.parent / "log" if work.parent.name == "disk" else None
    limit = max(60.0, 10 * usual.seconds)
    marked = blocks_marked(work)
    ended = run(arguments_of(mode, work), work, limit=limit, log=log)
    twice = made_twice(marked, ended.output)
    counts[key, "twice"] += bool(twice)
    problems += [f"{place}: {one}" for one in twice]
    counts[key, "hung"] += ended.status is None
    good = ended.status == 0 or (mode == "train" and bool(ALL_DONE.search(ended.output)))
    counts[key, "again"] += good
    if not good:
        return [*problems, f"{place}: again: {ended.status}, {ended.output[-1500:]}"]
    now = digests(work)
    differ = sorted(name for name, digest in known.items() if now.get(name) != digest)
    counts[key, "identical"] += not differ
    left = sorted(now.keys() - known.keys())
    counts[key, "left"] += bool(left)
    problems += [f"{place}: other results: {', '.join(differ)}"] if differ else []
    return problems + ([f"{place}: left: {', '.join(left)}"] if left else [])


def blocks_marked(work: Path) -> dict[str, int]:
    """How many blocks are marked as done, by passes that are not done as a whole.

    Markers beside a result that is there are being removed.
    """
    marked = Counter[str]()
    for done in (work / RUN).glob("results/*/blocks/*/done"):
        if (done.parents[2] / f"{done.parent.name}.zarr").exists():
            continue
        for stage in done.iterdir():
            if stage.name != "states" and not (done / "states" / stage.name / stage.name).exists():
                marked[stage.name] += len(list(stage.glob("*/[!.]*")))
    return marked


def made_twice(marked: dict[str, int], output: str) -> list[str]:
    """What a repetition says of passes in which it did not leave all that was marked."""
    said = {}
    for stage, rest in re.findall(
        r"^(?:infer|decode: (\w+)): (.* done (?:now|before).*)$", output, re.M
    ):
        earlier = re.search(r"(\d+) done before", rest)
        # The first line of a pass is of the volume that had been begun.
        said.setdefault(stage or "blocks", int(earlier[1]) if earlier else 0)
    return [
        f"{stage}: {number} blocks were marked as done, {said[stage]} were not repeated"
        for stage, number in marked.items()
        if said.get(stage, number) < number
    ]


def undisturbed(folder: Path, mode: str) -> Undisturbed:
    """Prepare what a mode starts from, and see what it does when nothing happens."""
    start, work = folder / f"before {mode}", folder / "work"
    prepare(start, mode, folder / "trained")
    ended = []
    for _ in range(2):
        copy(start, work)
        ended.append(expect(arguments_of(mode, work), work))
    seconds, written = min(one.seconds for one in ended), size_of(work) - size_of(start)
    print(f"{mode}: {seconds:.1f} s undisturbed, {written} bytes", flush=True)
    return Undisturbed(start, seconds, digests(work), written)


def prepare(start: Path, mode: str, trained: Path) -> None:
    """Volumes, a config, and what the modes before have made."""
    from connectomics.data.io import save_volume

    if mode != "train":
        if not trained.is_dir():
            prepare(trained, "train", trained)
            expect(arguments_of("train", trained), trained)
            (last,) = trained.glob("outputs/*/*/checkpoints/last.ckpt")
            last.parents[1].rename(trained / RUN)
        copy(trained, start)
        results_before(start, mode)
        return
    start.mkdir()
    for seed, name in enumerate(("train", "val", "a", "b")):
        image, label = volume(seed)
        save_volume(start / f"{name}.h5", image, resolution=(30, 8, 8))
        save_volume(start / f"{name}_label.h5", label, resolution=(30, 8, 8))
    (start / "my.yaml").write_text(json.dumps(CONFIG))


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with six synapses in it, bright on one side and dark on the other; and their labels."""
    random = np.random.default_rng(seed)
    image, label = random.integers(90, 160, SHAPE, dtype=np.uint8), np.zeros(SHAPE, np.uint16)
    for n in range(1, 7):
        z, y, x = 8 * ((n - 1) // 3) + random.integers(3), random.integers(40), 21 * ((n - 1) % 3)
        label[z : z + 4, y : y + 8, x : x + 14] = 2 * n - 1
        label[z : z + 4, y + 8 : y + 16, x : x + 14] = 2 * n
    image[label % 2 == 1], image[(label > 0) & (label % 2 == 0)] = 230, 20
    return image, label


def results_before(start: Path, mode: str) -> None:
    """Make what a mode reads."""
    for earlier in {"decode": ["infer"], "evaluate": ["infer", "decode"]}.get(mode, []):
        whole = ["system.block_size=null", "system.executor={name: this_process, scheduler: null}"]
        expect([*arguments_of(earlier, start), *whole], start)
        if earlier == "infer":
            for name in ("a", "b"):
                pretend(start, name)


def pretend(start: Path, name: str) -> None:
    """Let the network have found the synapses, so that there is something to decode."""
    from connectomics.data.io import read_volume

    label = read_volume(start / f"{name}_label.h5")
    sides = np.stack([label % 2 == 1, (label > 0) & (label % 2 == 0), label > 0])
    with h5py.File(start / RUN / "results" / name / "probabilities.h5", "r+") as file:
        probabilities = cast(h5py.Dataset, file["main"])
        likely = 255 if probabilities.dtype == np.uint8 else 1
        probabilities[...] = np.where(sides, 0.9, 0.1) * likely


def arguments_of(mode: str, work: Path) -> list[str]:
    """The command line of a mode; a training goes on from its newest checkpoint."""
    found = sorted(work.glob("outputs/*/*/checkpoints/last.ckpt"))
    how = ["decode", FUSED] if mode == "fused" else [mode]
    arguments = ["--config", "my.yaml", "--mode", *how]
    return [*arguments, "--checkpoint", str(found[-1].relative_to(work))] if found else arguments


def expect(arguments: Sequence[str], work: Path) -> Ended:
    """Run a program that has to end well."""
    ended = run(arguments, work)
    if ended.status != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {ended.status}\n{ended.output}")
    return ended


def load_libraries(folder: Path) -> None:
    """Load what the programs need, and what they compile, once for all of them."""
    import optuna  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    from main import main as command_line  # type: ignore[import-not-found]

    import connectomics.pipeline.stages
    import connectomics.training  # noqa: F401
    from connectomics.data.io import save_volume

    place = str(folder / "label.h5")
    save_volume(place, volume(0)[1], resolution=(30, 8, 8))
    output = f"output={folder / 'loaded'}"
    with contextlib.redirect_stdout(io.StringIO()):
        command_line(["--mode", "evaluate", f"truth={place}", f"prediction={place}", output])
        command_line(["--mode", "decode", f"labels={place}", output, "exports=[parquet,cremi]"])


def run(
    arguments: Sequence[str],
    work: Path,
    *,
    kill: tuple[float, signal.Signals] | None = None,
    limit: float = 600.0,
    log: Path | None = None,
) -> Ended:
    """Run the command line in a process forked from this one, and end it early if told to."""
    log, began = log or work.with_name("log"), time.perf_counter()
    pid = os.fork()
    if pid == 0:
        _be_program(arguments, work, log)
    status, killed = None, False
    while status is None:
        time.sleep(0.005)
        done, code = os.waitpid(pid, os.WNOHANG)
        seconds = time.perf_counter() - began
        if done:
            status = os.waitstatus_to_exitcode(code)
        elif kill is not None and not killed and seconds > kill[0]:
            os.kill(pid, kill[1])
            killed = True
        elif seconds > limit:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
    return Ended(status, time.perf_counter() - began, log.read_text(errors="replace"))


def _be_program(arguments: Sequence[str], work: Path, log: Path) -> None:
    """Run the command line, and end this process."""
    from main import main as command_line  # type: ignore[import-not-found]

    status: Any = 1
    try:
        os.chdir(work)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        sys.argv = ["scripts/main.py", *arguments]
        if FUSED in arguments:
            scale.use_cheap_network()
        status = command_line(arguments)
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


def digests(work: Path) -> dict[str, str]:
    """What every file under a run's final names holds, hidden ones too."""
    found = {}
    for path in sorted(p for p in (work / "outputs").rglob("*") if p.is_file()):
        name = str(path.relative_to(work))
        volatile = path.name in VOLATILE or path.name.endswith(".config.yaml")
        if volatile or "/tensorboard/" in name:
            continue
        digest = _digest(path)
        if path.suffix == ".ckpt":  # a resumed training has a run of its own, and other best ones
            name = "last.ckpt" if path.name == "last.ckpt" else name
            if path.name != "last.ckpt" and digest != DAMAGED:
                continue
        found[name] = digest
    return found


def _digest(path: Path) -> str:
    if path.suffix == ".ckpt":
        return _digest_of_checkpoint(path)
    if path.suffix == ".h5":
        return _digest_of_hdf5(path)
    data = path.read_bytes()
    if path.name == "zarr.json":
        about = json.loads(data)
        about["attributes"] = _without_times(about.get("attributes", {}))
        data = json.dumps(about).encode()
    if path.name == "scores.json":
        about = _without_times(json.loads(data))
        data = json.dumps({**about, "sum": ""}).encode()
    if path.name == "trials.csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        data = json.dumps([{**row, "seconds": ""} for row in rows]).encode()
    return hashlib.sha256(data).hexdigest()


def _digest_of_hdf5(path: Path) -> str:
    text = hashlib.sha256()

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        about = dict(node.attrs)
        if "made_from" in about:
            made_from = json.loads(str(about["made_from"]).removeprefix("json:"))
            about = _without_times({**about, "made_from": made_from})
        _sum_up([name, about], text)
        if isinstance(node, h5py.Dataset):
            values = np.asarray(node[()])
            whole = values.dtype != object
            text.update(values.tobytes() if whole else repr(values.tolist()).encode())

    try:
        with h5py.File(path, "r") as file:
            visit("/", file)
            file.visititems(visit)
    except OSError:
        return DAMAGED
    return text.hexdigest()


def _without_times(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a volume without times and places of the files that it was made from."""
    about = {k: v for k, v in attributes.get("made_from", {}).items() if k != "volumes"}
    return {**attributes, "made_from": about}


def _digest_of_checkpoint(path: Path) -> str:
    import torch

    try:
        saved = torch.load(path, weights_only=True)
    except Exception:
        return DAMAGED
    text = hashlib.sha256()
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "connectomics"):
        _sum_up(saved[key], text)
    return text.hexdigest()


def _sum_up(value: Any, text: Any) -> None:
    if hasattr(value, "numpy"):
        text.update(value.numpy().tobytes())
    elif isinstance(value, dict):
        for key in value:
            text.update(str(key).encode())
            _sum_up(value[key], text)
    elif isinstance(value, list | tuple):
        for item in value:
            _sum_up(item, text)
    else:
        text.update(repr(value).encode())


def kept(name: str) -> bool:
    """Whether a file bears no final name: hidden, set aside, or of what is made block by block."""
    unfinished = ("earlier", "blocks")
    return any(part.startswith(".") or part in unfinished for part in Path(name).parts)


def copy(start: Path, work: Path) -> None:
    """Begin from `start` again, times of files included."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(start, work)


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A file system in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


def fill(ballast: Path, *, leave: int) -> None:
    """Write until no more than `leave` bytes are free."""
    usage = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        file.write(bytes(max(0, usage.f_bavail * usage.f_frsize - leave)))


def print_table(
    modes: Sequence[str], counts: Counter[tuple[str, str]], what: str, names: Sequence[str]
) -> None:
    """One row per mode."""
    print(f"\n{what:10}" + "".join(f"{name:>11}" for name in names))
    for mode in modes:
        key = mode if what == "kills" else f"{mode} "
        print(f"{mode:10}" + "".join(f"{counts[key, name]:11}" for name in names))


if __name__ == "__main__":
    sys.exit(main())
