"""How soon a network is of use: F1_pol on unseen volumes, over voxels seen and seconds.

    python benchmarks/learning.py [--tissue crowded ...] [--variant recipe plain ...]
        [--seeds 0 1 2] [--mvoxels 150] [--points 3] [--threads 1] [--rows FILE.csv]
        [--change 'name: key=value key=value' ...] [--recipe cpu] [--patch 16 160 160] [--batch 2]
        [--set key=value ...] [--decoder init] [--gpu]

Every variant sees the same number of voxels of the same volume; one factor differs from `recipe`
at a time. `plain` is `baselines/plain_loop.py`, and `post-activation` has the network of
`baselines/post_activation.py`. Scores are of volumes of other seeds, decoded by
`polarity2instance` as published, by `synapses`, or by that as `--init` sets it. `--recipe` says
what `recipe` is: the demo's network and patches, or those of EM-R50 for two CPU cores or for a
GPU; `--patch` and `--batch` set its patches, `--set` anything else of every variant. On `--gpu`,
as many voxels go by sooner. On `vnc` (real EM without sides, sections 0-13 and 14-19) the score is
F1_det of `binary2instance`. Rows that the file has already, of the same options, are not measured
again; it does not know of which version of the code they are.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import torch
import yaml
from baselines import plain_loop
from baselines.post_activation import post_activation

from connectomics.config import Config
from connectomics.config.schema import SplitSection
from connectomics.data.build import open_split
from connectomics.data.processing.target import binary, seg_to_polarity
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.decoding import binary2instance, decode_synapses, polarity2instance
from connectomics.evaluation import detection_scores, polarity_scores, pool
from connectomics.geometry import Nm, VoxelGrid
from connectomics.inference import predict_volume
from connectomics.models import load_model
from connectomics.models.folding import folded
from connectomics.pipeline.components import read_config
from connectomics.pipeline.inspection import LEAST, inspect_labels, small_synapse
from connectomics.training import fit

ROOT = Path(__file__).parents[1]
VNC = ROOT.parent / "shared" / "data" / "vnc" / "vnc_stack1.h5"
TEST_SEEDS = (1001, 1002)
THRESHOLDS = (0.3, 0.5)


@dataclass(frozen=True)
class Tissue:
    """Something to learn from.

    Attributes:
        kwargs: Of `make_phantom`; None: real EM.
        shape: Of the volume to learn from.
        test_shape: Of each of the volumes to test on.
        patch: (z, y, x).
    """

    kwargs: dict[str, Any] | None
    shape: tuple[int, int, int] = (48, 512, 512)
    test_shape: tuple[int, int, int] = (32, 384, 384)
    patch: tuple[int, int, int] = (12, 96, 96)


TISSUES = {
    "crowded": Tissue({"synapse_density_um3": 1.5}),
    "cortex": Tissue({"synapse_density_um3": 0.6}, (68, 700, 700), (32, 512, 512), (16, 160, 160)),
    "thin": Tissue({"synapse_density_um3": 1.0, "label_thickness_nm": (50.0, 40.0)}),
    "faint": Tissue({"synapse_density_um3": 1.0, "contrast": 0.6, "noise": 16.0}),
    "em_r50": Tissue(
        {"synapse_density_um3": 0.6}, (68, 1024, 1024), (24, 768, 768), (16, 160, 160)
    ),
    "em_r50_faint": Tissue(
        {"synapse_density_um3": 0.6, "contrast": 0.6, "noise": 16.0},
        (68, 1024, 1024),
        (24, 768, 768),
        (16, 160, 160),
    ),
    "em_r50_alike": Tissue(
        {"synapse_density_um3": 0.6, "asymmetry": 0.25, "contrast": 0.8, "noise": 13.0},
        (68, 1024, 1024),
        (24, 768, 768),
        (16, 160, 160),
    ),
    "crowded_alike": Tissue(
        {"synapse_density_um3": 1.5, "asymmetry": 0.25, "contrast": 0.8, "noise": 13.0}
    ),
    "vnc": Tissue(None, patch=(4, 160, 160)),
}

_QUIET = (
    "data.num_val_patches=4",
    "monitor.progress_bar=false",
    "monitor.logging.images.max_images=0",
    "monitor.checkpoint.save_top_k=1000",
)


class Recipe(NamedTuple):
    """What `recipe` is; every other variant changes one thing of it.

    Attributes:
        tutorial: Its config.
        settings: Beside those of the tutorial.
        patch: (z, y, x); None: that of the tissue.
        batch: Patches of a step.
    """

    tutorial: str
    settings: tuple[str, ...]
    patch: tuple[int, int, int] | None = None
    batch: int = 2


RECIPES = {
    "demo": Recipe(
        "demo",
        (
            "model/rsunet=demo",
            "data/augmentation=light",
            "data.dataloader.num_workers=0",
            "data.dataloader.reject_sampling={size_thres: auto, p: 0.95}",
            "data.dataloader.foreground_fraction=0.6",
            "optimization.optimizer.lr=5e-3",
            "optimization.ema={decay: 0.99, warmup_steps: 50}",
        ),
    ),
    "cpu": Recipe("syn_em_r50", ("machine=cpu",), (16, 96, 96)),
    "gpu": Recipe("syn_em_r50", ("machine=gpu",), (18, 256, 256), batch=4),
}

_ONE_CHANNEL = (
    "model.out_channels=1",
    "model.loss.losses=[{function: WeightedBCEWithLogitsLoss}, "
    "{function: DiceLoss, kwargs: {batch: true}}]",
    "data.label_transform.targets=[{name: binary}]",
    "decoding.steps=[{name: binary2instance}]",
    "evaluation={truth_encoding: binary, metrics: [detection]}",
)
"""Where labels have no sides."""

WINDOW = (32, 384, 384)

_SLIVERS = "data.dataloader.reject_sampling={size_thres: 200, p: 0.95}"
_NO_CENTRES = "data.dataloader.foreground_fraction=0"
_LOSSES = (
    "model.loss.losses=[{{function: WeightedBCEWithLogitsLoss{}}}, "
    "{{function: DiceLoss, kwargs: {{batch: true}}, weight: {}}}, "
    "{{function: SideLoss, weight: {}}}]"
)
_DEEPER = "{filters: [16, 32, 64, 96], down_factors: [[1, 2, 2], [1, 2, 2], [1, 2, 2]]}"
VARIANTS: dict[str, tuple[str, ...]] = {
    "recipe": (),
    "bias 0": ("model.head_bias=null",),
    "rejection, slivers": (_SLIVERS, _NO_CENTRES),
    "rejection, slivers, bias 0": (_SLIVERS, _NO_CENTRES, "model.head_bias=null"),
    "rejection, whole": (_NO_CENTRES,),
    "rejection, whole, bias 0": (_NO_CENTRES, "model.head_bias=null"),
    "centred 30 %": ("data.dataloader.foreground_fraction=0.3",),
    "centred 90 %": ("data.dataloader.foreground_fraction=0.9",),
    "pos_weight 2, half Dice": (_LOSSES.format(", kwargs: {pos_weight: 2}", 0.5, 1),),
    "pos_weight 5": (_LOSSES.format(", kwargs: {pos_weight: 5}", 1, 1),),
    "Dice per patch": (_LOSSES.format("", 1, 1).replace("batch: true", "batch: false"),),
    "sides not compared": (_LOSSES.format("", 1, 0),),
    "sides compared, 0.3": (_LOSSES.format("", 1, 0.3),),
    "sides compared, 3": (_LOSSES.format("", 1, 3),),
    "lr 2e-3": ("optimization.optimizer.lr=2e-3",),
    "lr 1e-2": ("optimization.optimizer.lr=1e-2",),
    "warm-up 50": ("optimization.scheduler.warmup_steps=50",),
    "no stem": ("model.rsunet.stem=none",),
    "wider": ("model.rsunet.filters=[16, 32, 64]",),
    "deeper": (f"model.rsunet={_DEEPER}",),
    "group norm": ("model.rsunet.norm=group",),
    "flips alone": ("data/augmentation=none", "data.augmentation={flip: {prob: 0.5}}"),
    "light augmentation": ("data/augmentation=light",),
    "standard augmentation": ("data/augmentation=standard",),
    "no average": ("optimization.ema.enabled=false",),
    "longer average": ("optimization.ema.decay=0.999",),
}


class Row(NamedTuple):
    """One point of one curve; `setup` is what all variants have in common."""

    setup: str
    tissue: str
    variant: str
    seed: int
    mvoxels: float
    step: int
    seconds: float
    f1_30: float
    f1_50: float
    side: float


OTHER_CODE = ("plain", "post-activation")
"""Variants that are not settings of a recipe."""
DECODERS = ("polarity2instance", "synapses", "init")


@dataclass
class Volumes:
    """The volumes of a tissue, in memory.

    Attributes:
        tissue: Its name.
        train: Image and label.
        tests: Images and labels.
        resolution: nm per voxel.
    """

    tissue: str
    train: tuple[np.ndarray, np.ndarray]
    tests: list[tuple[np.ndarray, np.ndarray]]
    resolution: Nm | None

    @property
    def sided(self) -> bool:
        """Whether the labels tell pre from post."""
        return TISSUES[self.tissue].kwargs is not None

    @cached_property
    def small_nm3(self) -> float:
        """The size of a small synapse among those that are learned from, as `--init` has it."""
        grid = VoxelGrid(self.resolution)
        image, label = (MemoryVolume("train", array, grid) for array in self.train)
        return small_synapse(
            [inspect_labels(LabelledVolume("train", image, label))], None, in_nm3=True
        )


def main() -> None:
    """Measure what is asked for, and print a table of means and spreads."""
    options = _options()
    torch.set_num_threads(options.threads)
    changes = dict(map(_change, options.change))
    variants = VARIANTS | changes
    wanted = [*options.variant, *changes]
    setup = setup_of(options)
    rows = _read(options.rows)
    for tissue in options.tissue:
        if tissue == "vnc" and not VNC.is_file():
            print(f"vnc: {VNC} is not there; left out")
            continue
        done = {(row.tissue, row.variant, row.seed) for row in rows if row.setup == setup}
        missing = [
            (seed, name)
            for seed in options.seeds
            for name in wanted
            if (tissue, name, seed) not in done
        ]
        volumes = read_volumes(tissue) if missing else None
        for seed, name in missing:
            assert volumes is not None
            found = list(measure(volumes, name, variants.get(name, ()), seed, options))
            _append(options.rows, found)
            rows += found
    print(f"{setup}\n{table([row for row in rows if row.setup == setup])}")


def setup_of(options: argparse.Namespace) -> str:
    """What decides on all scores beside tissue, variant and seed, in a line.

    Changes that the command line makes are part of it, as their names say nothing of them.
    """
    words = [
        f"--recipe {options.recipe}",
        f"--mvoxels {options.mvoxels:g}",
        f"--points {options.points}",
        f"--decoder {options.decoder}",
        *([f"--patch {' '.join(map(str, options.patch))}"] if options.patch else []),
        *([f"--batch {options.batch}"] if options.batch else []),
        *([f"--set {' '.join(options.set)}"] if options.set else []),
        *([f"--change {' '.join(map(repr, options.change))}"] if options.change else []),
        *(["--gpu"] if options.gpu else []),
    ]
    return " ".join(words)


def read_volumes(tissue: str) -> Volumes:
    """Open the phantoms of a tissue, which are made once, or the real EM."""
    seeds = TEST_SEEDS if TISSUES[tissue].kwargs else TEST_SEEDS[:1]
    opened = [
        (volume.image, volume.label)
        for split in (split_of(tissue), *(split_of(tissue, seed) for seed in seeds))
        for volume in open_split(SplitSection.model_validate(split), tissue)
        if volume.label is not None
    ]
    learn, *tests = [(image.read(), label.read()) for image, label in opened]
    return Volumes(tissue, learn, tests, opened[0][0].grid.resolution)


def split_of(tissue: str, test_seed: int | None = None) -> dict[str, Any]:
    """The `data` section of what is learned from, or of a volume to test on."""
    spec = TISSUES[tissue]
    if spec.kwargs is None:
        files = {"image": f"{VNC}::raw", "label": f"{VNC}::synapses", "resolution": [50, 4.6, 4.6]}
        return {**files, "z_range": [0, 14] if test_seed is None else [14, 20]}
    shape = spec.shape if test_seed is None else spec.test_shape
    return {"phantom": {"seed": test_seed or 0, "shape": list(shape), "kwargs": spec.kwargs}}


def measure(
    volumes: Volumes,
    name: str,
    changes: Sequence[str],
    seed: int,
    options: argparse.Namespace,
) -> Iterator[Row]:
    """Train one variant with one seed, and score it at evenly spaced steps."""
    recipe, tissue = RECIPES[options.recipe], TISSUES[volumes.tissue]
    recipe = recipe._replace(
        settings=(*recipe.settings, *options.set, f"system.num_gpus={int(options.gpu)}"),
        patch=tuple(options.patch) if options.patch else recipe.patch,
        batch=options.batch or recipe.batch,
    )
    # Real EM has room for its own patch alone.
    patch = tissue.patch if tissue.kwargs is None else recipe.patch or tissue.patch
    of_step = recipe.batch * math.prod(patch) / 1e6
    points = options.points
    steps = round(options.mvoxels / of_step / points) * points
    budget = Budget(patch, recipe.batch, seed, steps, steps // points)
    found = (
        plain_points(volumes, budget, gpu=options.gpu)
        if name == "plain"
        else our_points(volumes, recipe, changes, budget, gpu=options.gpu)
    )
    with post_activation() if name == "post-activation" else nullcontext():
        for step, seconds, predict in found:
            scores = score(volumes, predict, options.decoder)
            mvoxels = round(step * of_step, 1)
            of = (setup_of(options), volumes.tissue, name, seed)
            row = Row(*of, mvoxels, step, round(seconds, 1), *scores)
            print(*row, flush=True)
            yield row


class Budget(NamedTuple):
    """What a training may spend, and when it is looked at."""

    patch: tuple[int, int, int]
    batch: int
    seed: int
    steps: int
    every: int


def our_points(
    volumes: Volumes, recipe: Recipe, changes: Sequence[str], budget: Budget, *, gpu: bool
) -> Iterator[tuple[int, float, Any]]:
    """Train by the command's own way; yields steps, seconds and what predicts a volume."""
    with tempfile.TemporaryDirectory() as folder:
        config = _config(volumes.tissue, recipe, changes, budget, Path(folder))
        if changes and config == _config(volumes.tissue, recipe, (), budget, Path(folder)):
            raise SystemExit(f"{' '.join(changes)}: changes nothing of this recipe")
        began = time.time()
        fit(config, Path(folder))
        kept = sorted((Path(folder) / "checkpoints").glob("step_*.ckpt"))
        for checkpoint in kept:
            network = folded(load_model(checkpoint).network).to("cuda" if gpu else "cpu")
            seconds = checkpoint.stat().st_mtime - began
            yield int(checkpoint.name.split("_")[1]), seconds, _predictor(network)


def plain_points(
    volumes: Volumes, budget: Budget, *, gpu: bool
) -> Iterator[tuple[int, float, Any]]:
    """The same of the plain loop."""
    image, label = volumes.train
    target = seg_to_polarity(label) if volumes.sided else binary(label)
    for step, seconds, predict in plain_loop.train(
        image,
        target.astype(np.uint8),
        patch=budget.patch,
        batch=budget.batch,
        steps=budget.steps,
        every=budget.every,
        seed=budget.seed,
        device="cuda" if gpu else "cpu",
    ):
        yield step, seconds, _predictor(predict, activation=None)


def score(volumes: Volumes, predict: Any, decoder: str) -> tuple[float, float, float]:
    """F1 at both thresholds over all test volumes together, and the side accuracy at the first."""
    pairs = [(label, decode(volumes, predict(image), decoder)) for image, label in volumes.tests]
    if not volumes.sided:
        f1 = [
            pool([detection_scores(*pair, iou_threshold=t) for pair in pairs]).f1_det
            for t in THRESHOLDS
        ]
        return round(f1[0], 3), round(f1[1], 3), math.nan
    low, high = (
        pool([polarity_scores(*pair, iou_threshold=t) for pair in pairs]) for t in THRESHOLDS
    )
    return round(low.f1_pol, 3), round(high.f1_pol, 3), round(low.side_accuracy, 3)


def decode(volumes: Volumes, probabilities: np.ndarray, decoder: str) -> np.ndarray:
    """Labels, by the published rule, by `synapses`, or by that as `--init` sets it."""
    if volumes.sided and decoder != "polarity2instance":
        assert volumes.resolution is not None  # of phantoms
        settings: dict[str, Any] = {}
        if decoder == "init":
            settings["min_synapse_nm3"] = LEAST * volumes.small_nm3
        return decode_synapses(probabilities, resolution=volumes.resolution, **settings)[0]
    if volumes.sided:
        return polarity2instance(probabilities)
    return binary2instance(probabilities)


def table(rows: Sequence[Row]) -> str:
    """Mean of the seeds, and the lowest and highest of them, at every point."""
    lines = ["tissue | variant | Mvoxels | F1 at .3 | F1 at .5 | seconds | seeds"]
    groups: dict[tuple[str, str, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.tissue, row.variant, row.mvoxels), []).append(row)
    for (tissue, variant, mvoxels), group in groups.items():
        shown = [_spread([getattr(row, name) for row in group]) for name in ("f1_30", "f1_50")]
        seconds = np.mean([row.seconds for row in group])
        lines.append(
            f"{tissue} | {variant} | {mvoxels:g} | {shown[0]} | {shown[1]} | {seconds:.0f} | "
            f"{len(group)}"
        )
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    mean = float(np.mean(values))
    return f"{mean:.2f} ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else f"{mean:.2f}"


def _config(
    tissue: str, recipe: Recipe, changes: Sequence[str], budget: Budget, folder: Path
) -> Config:
    overrides = [*recipe.settings, *_QUIET]
    if TISSUES[tissue].kwargs is None:
        overrides += _ONE_CHANNEL
    path = folder / "learning.yaml"
    base = {
        "defaults": [recipe.tutorial, "_self_"],
        "data": {"train": split_of(tissue), "test": None},
        "system": {"seed": budget.seed},
    }
    path.write_text(yaml.safe_dump(base))
    # `machine=` beats the file; these beat both.
    limits = [
        f"data.dataloader.patch_size={list(budget.patch)}",
        f"data.dataloader.batch_size={budget.batch}",
        f"optimization.max_steps={budget.steps}",
        f"optimization.n_steps_per_epoch={budget.every}",
    ]
    return read_config(path, overrides=[*overrides, *limits, *changes]).config


def _predictor(network: Any, *, activation: Any = torch.sigmoid) -> Any:
    def predict(image: np.ndarray) -> np.ndarray:
        size = tuple(min(n, m) for n, m in zip(image.shape, WINDOW, strict=True))
        with torch.inference_mode():
            return predict_volume(
                network,
                image.astype(np.float32) / 255,
                window_size=size,
                overlap=0.25,
                activation=activation,
            )

    return predict


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        lines = csv.DictReader(file)
        if tuple(lines.fieldnames or ()) != Row._fields:
            raise SystemExit(f"{path}: has other columns; name another file with --rows")
        types = get_type_hints(Row)
        return [Row(**{name: types[name](line[name]) for name in Row._fields}) for line in lines]


def _append(path: Path, rows: Sequence[Row]) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([Row._fields] * new)
        writer.writerows(rows)


def _change(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, changes = text.partition(":")
    return name.strip(), tuple(changes.split())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tissue", nargs="+", default=["crowded"], choices=TISSUES)
    parser.add_argument(
        "--variant", nargs="*", default=["plain", "recipe"], choices=[*VARIANTS, *OTHER_CODE]
    )
    parser.add_argument("--change", nargs="+", default=[], metavar="'NAME: KEY=VALUE ...'")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--mvoxels", type=float, default=150.0, help="seen by each training")
    parser.add_argument("--points", type=int, default=3, help="of each curve")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recipe", default="demo", choices=RECIPES)
    parser.add_argument("--patch", nargs=3, type=int, help="(z, y, x), instead of the recipe's")
    parser.add_argument("--batch", type=int, help="patches of a step, instead of the recipe's")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of all variants")
    parser.add_argument("--gpu", action="store_true", help="train and predict on a GPU")
    parser.add_argument("--decoder", default=DECODERS[0], choices=DECODERS, help="of sides")
    parser.add_argument(
        "--rows", type=Path, help="where rows go; learning_DECODER.csv unless given"
    )
    options = parser.parse_args()
    options.rows = options.rows or Path(f"learning_{options.decoder}.csv")
    return options


if __name__ == "__main__":
    main()
