"""What a user does with a file: every way from the disk into the program."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from main import main
from seeds import LABELS, RESOLUTION, arguments_on_results

from connectomics.config.schema import DataSection
from connectomics.data.annotations import read_annotations
from connectomics.data.checks import check_data
from connectomics.data.io import open_volume, save_volume
from connectomics.decoding import read_table
from connectomics.errors import ConnectomicsError
from connectomics.geometry import Box, whole

MOST_LINES, MOST_CHARACTERS = 40, 6000


class Place:
    """A folder with good files, to be used together with a damaged one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = str(folder / "good.h5")
        self.output = folder / "output"
        save_volume(self.labels, LABELS, resolution=RESOLUTION, overwrite=True)

    def warm_up(self) -> None:
        """Load and compile what takes its time when it is first used, for every size of ids."""
        for shift in (0, 2**10, 2**20, 2**40):
            source = str(self.folder / f"{shift}.h5")
            labels = np.where(LABELS > 0, LABELS.astype(np.int64) + shift, 0)
            save_volume(source, labels, resolution=RESOLUTION, overwrite=True)
            use("volume", source, self)


def read(source: str, place: Place) -> str | None:
    """A digest of the voxels, read in boxes and as a whole."""
    with open_volume(source) as volume:
        repr(volume.attributes)
        extent = whole(volume.shape)
        corner = Box((0, 0, 0), tuple(min(n, 5) for n in extent.stop))  # type: ignore[arg-type]
        volume.read(corner)
        array = volume.read()
    return _digest(array)


def check(source: str, place: Place) -> None:
    """What is said before a training or a test begins."""
    for mode, split in (("train", "train"), ("test", "test")):
        files = {"image": source, "label": place.labels, "mask": source, "neurons": source}
        if split == "train":
            files = {"image": place.labels, "label": source}
        section = DataSection.model_validate(
            {split: files, "dataloader": {"patch_size": [2, 8, 8]}}
        )
        for fault in check_data(section, mode):  # type: ignore[arg-type]
            _check_message(str(fault), source)


def evaluate(source: str, place: Place) -> None:
    """As truth, as prediction, and as the mask."""
    good = place.labels
    run(source, "--mode", "evaluate", f"truth={source}", f"prediction={good}")
    run(source, "--mode", "evaluate", f"truth={good}", f"prediction={source}")
    run("", "--mode", "evaluate", f"truth={good}", f"prediction={good}", f"mask={source}")


def decode(source: str, place: Place) -> None:
    """Into a table and an export."""
    arguments = [f"labels={source}", f"output={place.output}", "exports=[cremi]"]
    written = run(source, "--mode", "decode", *arguments, "resolution=[30,8,8]") == 0
    left = [path.name for path in place.output.rglob("*")] if place.output.is_dir() else []
    if left and not written:
        raise AssertionError(f"decode failed and left {left}")
    shutil.rmtree(place.output, ignore_errors=True)


def table(source: str, place: Place) -> None:
    """Of synapses."""
    read_table(source)


def evaluate_table(source: str, place: Place) -> None:
    """With the labels it was made of."""
    arguments = [f"truth={place.labels}", f"prediction={place.labels}", f"table={source}"]
    run(source, "--mode", "evaluate", *arguments)


def annotations(source: str, place: Place) -> None:
    """Of true synapses."""
    read_annotations(source)


def evaluate_annotations(source: str, place: Place) -> None:
    """Against labels."""
    files = [f"{name}={place.labels}" for name in ("truth", "prediction", "neurons")]
    metrics = "metrics=[points,cremi_partners]"
    run(source, "--mode", "evaluate", *files, f"annotations={source}", metrics)


def checkpoint(source: str, place: Place) -> str:
    """A digest of the network's weights, from what the checkpoint says of itself."""
    from connectomics.models import load_model

    network = load_model(source)
    return _digest(*(weight.numpy() for _, weight in sorted(network.state_dict().items())))


def infer(source: str, place: Place) -> None:
    """With the checkpoint that a user names."""
    config = Path(source).with_name("my.yaml")
    volume = [f"data.test.image={place.labels}", f"save_path={place.folder}/runs"]
    run(source, "--config", str(config), "--mode", "infer", "--checkpoint", source, *volume)
    shutil.rmtree(place.folder / "runs", ignore_errors=True)


def decode_again(source: str, place: Place) -> None:
    """From the results of a run."""
    run(source, *arguments_on_results("decode", source))


def evaluate_again(source: str, place: Place) -> None:
    """From the results of a run, with whatever the decoding has mended."""
    run(source, *arguments_on_results("evaluate", source))


USES: dict[str, tuple[Callable[[str, Place], str | None], ...]] = {
    "volume": (read, check, evaluate, decode),
    "table": (table, evaluate_table),
    "annotations": (annotations, evaluate_annotations),
    "checkpoint": (checkpoint, infer),
    "results": (evaluate_again, decode_again, evaluate_again),
}


def run(source: str, *arguments: str) -> int:
    """Run the command line, and insist on 0, or on 2 with a message that names `source`.

    Raises:
        AssertionError: The message is long, or names no place.
    """
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main(arguments)
    if code:
        assert code == 2, f"exit status {code}"
        _check_message(errors.getvalue(), source)
    return code


def use(kind: str, source: str, place: Place) -> tuple[str, str]:
    """Put a file to every use of its kind.

    Returns:
        "read" with the digest of what was read, or "refused" with the message.

    Raises:
        Exception: Whatever should not have come up.
    """
    outcome = ("read", "")
    for number, act in enumerate(USES[kind]):
        try:
            with _quiet():
                digest = act(source, place)
            if number == 0:
                outcome = ("read", digest or "")
        except ConnectomicsError as error:
            _check_message(str(error), source)
            if number == 0:
                outcome = ("refused", str(error))
        except SystemExit as error:
            raise AssertionError(f"{act.__name__} ended the program: {error}") from error
    return outcome


def _check_message(message: str, source: str) -> None:
    path = Path(source.partition("::")[0])
    assert path.name in message, f"the message does not name {path.name}: {message[:500]}"
    lines = message.splitlines()
    assert len(lines) <= MOST_LINES, f"a message of {len(lines)} lines: {message[:500]}"
    assert len(message) <= MOST_CHARACTERS, f"a message of {len(message)}: {message[:500]}"
    assert "Traceback" not in message, message


def _digest(*arrays: np.ndarray) -> str:
    text = hashlib.sha256()
    for array in arrays:
        text.update(f"{array.dtype} {array.shape} ".encode())
        text.update(np.ascontiguousarray(array).data)
    return text.hexdigest()[:16]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield
