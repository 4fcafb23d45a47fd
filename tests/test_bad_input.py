"""What a user gets for bad input: one screen, the place and the remedy, exit code 2, no mess."""

from __future__ import annotations

import errno
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from main import main

from connectomics.data.io import save_volume

REPOSITORY = Path(__file__).parent.parent
SHAPE = (12, 48, 48)

CONFIG: dict[str, Any] = {
    "experiment_name": "bad",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {
        "out_channels": 3,
        "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]},
    },
    "data": {
        "train": {"image": "img.h5", "label": "syn.h5", "resolution": [30, 8, 8]},
        "test": {"image": "img.h5", "label": "syn.h5", "resolution": [30, 8, 8]},
        "label_transform": {"targets": [{"name": "polarity"}]},
        "dataloader": {
            "patch_size": [4, 32, 32],
            "batch_size": 1,
            "num_workers": 0,
            "reject_sampling": {"size_thres": 10, "p": 0.9},
        },
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
    "decoding": {"steps": [{"name": "polarity2instance"}]},
    "evaluation": {"metrics": ["polarity"]},
}


class Workplace:
    """A folder with a volume, its labels and a config, and the command line run in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        image = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
        label = np.zeros(SHAPE, dtype=np.uint16)
        label[:9, 8:16, 8:20], label[:9, 16:24, 8:20] = 1, 2
        self.write("img.h5", image)
        self.write("syn.h5", label)
        (folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))

    def write(self, name: str, array: np.ndarray) -> None:
        save_volume(self.folder / name, array, overwrite=True)

    def run(self, *arguments: str, mode: str = "train") -> int:
        return main(["--config", "my.yaml", "--mode", mode, *arguments])

    def expect(self, *patterns: str, arguments: tuple[str, ...] = (), mode: str = "train") -> None:
        """Run, and insist on exit code 2, a short message that matches, and no leavings."""
        before = self.files()
        self.capsys.readouterr()
        code = self.run(*arguments, mode=mode)
        error = self.capsys.readouterr().err
        assert code == 2, error
        assert "Traceback" not in error
        assert 0 < len(error.splitlines()) <= 24
        assert re.search(r"^(Config|Data|Checkpoint)Error: ", error, re.MULTILINE), error
        for pattern in patterns:
            assert re.search(pattern, error), f"{pattern!r} is not in:\n{error}"
        assert self.files() <= before | self.whole_files(), "something half-written is left"

    def files(self) -> set[str]:
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}

    def whole_files(self) -> set[str]:
        """What a run may write before it meets the fault: its own record, complete."""
        names = ("config.yaml", "provenance.yaml")
        return {f for f in self.files() if Path(f).name in names or "/tensorboard/" in f}


@pytest.fixture
def work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Workplace:
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path, capsys)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a training in which nothing was wrong."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workplace = Workplace(folder, capsys=None)  # type: ignore[arg-type]
        assert workplace.run() == 0
    (found,) = folder.glob("outputs/bad/*/checkpoints/last.ckpt")
    return found


def test_missing_file(work):
    (work.folder / "img.h5").rename(work.folder / "image.h5")
    work.expect(r"data\.train\.image: .*img\.h5: no such file")


def test_truncated_hdf5(work):
    path = work.folder / "img.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    work.expect(r"img\.h5")


def test_a_file_that_is_no_hdf5(work):
    (work.folder / "img.h5").write_text("not a volume")
    work.expect(r"img\.h5")


def test_absent_dataset(work):
    work.expect(r"img\.h5", r"volumes/raw", arguments=("data.train.image=img.h5::volumes/raw",))


def test_several_datasets_and_none_named(work):
    with h5py.File(work.folder / "img.h5", "w") as file:
        file["a"] = file["b"] = np.zeros(SHAPE, dtype=np.uint8)
    work.expect(r"img\.h5", r"\ba\b", r"\bb\b")


def test_image_and_label_of_different_shapes(work):
    work.write("syn.h5", np.ones((12, 48, 40), dtype=np.uint16))
    work.expect(r"syn\.h5", r"\(12, 48, 40\)", r"\(12, 48, 48\)")


def test_float_labels(work):
    work.write("syn.h5", np.full(SHAPE, 0.5, dtype=np.float32))
    work.expect(r"syn\.h5: labels must be whole numbers, and it holds 0\.5")


def test_negative_labels(work):
    label = np.ones(SHAPE, dtype=np.int16)
    label[2, 3, 4] = -5
    work.write("syn.h5", label)
    work.expect(r"syn\.h5: labels hold -5 at voxel \(2, 3, 4\)")


def test_labels_without_foreground(work):
    work.write("syn.h5", np.zeros(SHAPE, dtype=np.uint16))
    work.expect(r"data\.train\.label: the labels hold no foreground")


def test_volume_smaller_than_the_patch(work):
    work.expect(
        r"\(12, 48, 48\)", "patch_size", arguments=("data.dataloader.patch_size=[4,64,64]",)
    )


def test_no_room_to_hold_back_a_validation_patch(work):
    work.expect("validation", arguments=("data.dataloader.patch_size=[8,32,32]",))


def test_two_dimensional_input(work):
    with h5py.File(work.folder / "img.h5", "w") as file:
        file["main"] = np.zeros((48, 48), dtype=np.uint8)
    work.expect(r"img\.h5.*2-D.*48 x 48")


def test_nan_in_the_image(work):
    image = np.zeros(SHAPE, dtype=np.float32)
    image[3, 4, 5] = np.nan
    work.write("img.h5", image)
    work.expect(r"img\.h5.*nan at voxel \(3, 4, 5\)")


def test_voxel_sizes_that_disagree(work):
    save_volume(
        work.folder / "img.h5",
        np.zeros(SHAPE, dtype=np.uint8),
        resolution=(40, 4, 4),
        overwrite=True,
    )
    work.expect(r"img\.h5", "40", "30")


def test_wrong_channel_count_for_the_decoder(work):
    work.expect(
        r"decoding\.steps\[0\]", "3", "1", arguments=("decoding.steps=[{name: binary2instance}]",)
    )


@pytest.mark.parametrize("mode", ["train", "infer", "test"])
def test_checkpoint_that_is_not_there(work, mode):
    work.expect(
        r"nothing\.ckpt.*no such file", arguments=("--checkpoint", "nothing.ckpt"), mode=mode
    )


@pytest.mark.parametrize("content", [b"", b"random bytes" * 100, b"PK\x03\x04 cut off"])
def test_checkpoint_that_is_none(work, content):
    (work.folder / "x.ckpt").write_bytes(content)
    work.expect(r"x\.ckpt", "checkpoint", arguments=("--checkpoint", "x.ckpt"), mode="test")


class _Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("pwned"),)


def test_checkpoint_with_a_malicious_pickle(work):
    torch.save({"state_dict": {}, "connectomics": _Malicious()}, work.folder / "x.ckpt")
    work.expect(r"x\.ckpt.*refused", "run", arguments=("--checkpoint", "x.ckpt"), mode="test")
    (work.folder / "y.ckpt").write_bytes(pickle.dumps(_Malicious()))
    work.expect(r"y\.ckpt", arguments=("--checkpoint", "y.ckpt"), mode="test")
    with zipfile.ZipFile(work.folder / "z.ckpt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Malicious()))
        archive.writestr("archive/version", "3\n")
    work.expect(r"z\.ckpt", arguments=("--checkpoint", "z.ckpt"), mode="test")
    assert not (work.folder / "pwned").exists()


def test_checkpoint_of_another_architecture(work, checkpoint):
    work.expect(
        r"command line: model\.rsunet\.filters.*\[4, 8\].*\[4, 16\]",
        arguments=("--checkpoint", str(checkpoint), "model.rsunet.filters=[4,16]"),
        mode="test",
    )


def test_a_checkpoint_saved_anew_with_the_same_weights_is_no_other_network(work, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    path = work.folder / "same.ckpt"
    for step in (1, 2):
        torch.save({**content, "global_step": step}, path)
        assert work.run("--checkpoint", "same.ckpt", mode="test") == 0


def test_checkpoint_trained_on_other_grey_values(work, checkpoint):
    work.expect(
        r"image_transform",
        "z-score",
        arguments=("--checkpoint", str(checkpoint), "data.image_transform.normalize=z-score"),
        mode="test",
    )


def test_checkpoint_whose_channels_are_read_otherwise(work, checkpoint):
    """It learned three sigmoids; a softmax over them is something else."""
    work.expect(
        r"my\.yaml: inference\.model\.channel_activations: .*last\.ckpt was trained for "
        r"\"0:3\" sigmoid; the config reads \"0:3\" softmax",
        "follow from model.loss.losses. Use the config of the run that wrote the checkpoint",
        arguments=(
            *("--checkpoint", str(checkpoint), "model.loss.losses=[{function: WeightedCE}]"),
            "data.label_transform.targets=[{name: polarity, kwargs: {exclusive: true}}]",
        ),
        mode="infer",
    )


def test_no_checkpoint_given_names_the_newest(work):
    work.expect("--checkpoint", "train first", mode="test")
    path = work.folder / "outputs" / "bad" / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.touch()
    work.expect(r"outputs/bad/run/checkpoints/last\.ckpt", mode="test")


@pytest.mark.parametrize("mode", ["decode", "evaluate"])
def test_nothing_predicted_yet(work, mode):
    work.expect("--mode infer", mode=mode)


def test_output_folder_that_is_a_file(work):
    (work.folder / "taken").write_text("mine")
    work.expect(r"taken.*cannot be written", arguments=("save_path=taken",))
    assert (work.folder / "taken").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(work):
    folder = work.folder / "locked"
    folder.mkdir(mode=0o500)
    work.expect(r"locked.*cannot be written.*[Pp]ermission", arguments=("save_path=locked/here",))


def test_output_folder_on_a_read_only_disk(work, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    work.expect("cannot be written: Read-only file system", "save_path")


def test_full_disk_while_saving_a_checkpoint(work, monkeypatch):
    def full(self: Path, *_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    work.expect(r"last\.ckpt.*No space left")


def test_full_disk_while_saving_probabilities(work, checkpoint, monkeypatch):
    from connectomics.data.io.save import VolumeWriter

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = ("--checkpoint", str(checkpoint))
    assert work.run(*arguments, mode="infer") == 0
    kept = [p.name for p in checkpoint.parent.parent.glob("results/img/*")]
    monkeypatch.setattr(VolumeWriter, "write", full)
    work.expect(
        r"probabilities\.h5.*No space left",
        arguments=(*arguments, "inference.window.overlap=0.25"),
        mode="infer",
    )
    (folder,) = checkpoint.parent.parent.glob("results/img")
    assert [p.name for p in folder.iterdir()] == kept


def test_full_disk_while_saving_scores(work, checkpoint, monkeypatch):
    arguments = ("--checkpoint", str(checkpoint))
    assert work.run(*arguments, mode="test") == 0

    full, write_text = {"config.yaml", "scores.json"}, Path.write_text

    def write(self: Path, *given: Any, **settings: Any) -> int:
        if self.name in full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_text(self, *given, **settings)

    monkeypatch.setattr(Path, "write_text", write)
    arguments = (*arguments, "evaluation.metrics=[detection]")  # other scores than those there
    work.expect(r"config\.yaml.*No space left", arguments=arguments, mode="evaluate")
    full.remove("config.yaml")
    work.expect(r"scores\.json.*No space left", arguments=arguments, mode="evaluate")


@pytest.mark.parametrize(
    ("argument", "patterns"),
    [
        ("data.dataloader.patch_sise=[4,32,32]", ["patch_sise", "Did you mean 'patch_size'"]),
        ("model.loss.losses=[{function: DieLoss}]", ["DieLoss", "DiceLoss"]),
        ("decoding.steps[0].kwargs.exlusive=true", ["exlusive", "exclusive"]),
        ("decoding.steps[0].name=polarity", ["polarity2instance"]),
        ("evaluation.metrics=[f1]", ["no metric 'f1'"]),
        ("data.augmentation.flipp={}", ["flipp", "flip"]),
        ("data.label_transform.targets=[polarty]", ["polarty", "polarity"]),
        ("data.dataloader.patch_size=[4,32]", [r"patch_size"]),
        ("optimization.max_steps=many", [r"max_steps", "many"]),
        ("inference.window.blending=hann", ["blending", "bump"]),
        ("optimization.optimizer.name=Lion", ["AdamW"]),
    ],
)
def test_unknown_keys_names_and_values(work, argument, patterns):
    work.expect(*patterns, arguments=(argument,))


def test_every_fault_at_once(work):
    work.expect(
        "patch_sise",
        "exlusive",
        "DieLoss",
        arguments=(
            "data.dataloader.patch_sise=[4,32,32]",
            "decoding.steps[0].kwargs.exlusive=true",
            "model.loss.losses=[{function: DieLoss}]",
        ),
    )


def test_unknown_mode(work):
    work.expect("no mode 'tset'", "Did you mean 'test'", mode="tset")


def test_a_gpu_that_is_not_there(work):
    wanted = torch.cuda.device_count() + 1
    work.expect("system.num_gpus", f"{wanted} asked for", arguments=(f"system.num_gpus={wanted}",))


def test_results_of_another_volume(work, checkpoint):
    """A label file that does not fit the volume any more is named, not scored."""
    assert work.run("--checkpoint", str(checkpoint), mode="test") == 0
    (labels,) = checkpoint.parent.parent.glob("results/*/labels.h5")
    with h5py.File(labels, "r+") as file:
        attributes = dict(file["main"].attrs)
        del file["main"]
        file["main"] = np.zeros((2, 48, 48), dtype=np.uint8)
        file["main"].attrs.update(attributes)
    work.expect(
        r"labels\.h5.*\(2, 48, 48\)", arguments=("--checkpoint", str(checkpoint)), mode="evaluate"
    )
