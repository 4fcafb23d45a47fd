"""The benchmark of learning measures what it says, and its variants are configs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in ("learning", "baselines", "baselines.plain_loop", "baselines.post_activation"):
        sys.modules.pop(name, None)


def test_every_variant_is_a_config_that_differs_from_the_recipe(tmp_path):
    import learning

    def config_of(name: str, recipe: str = "demo"):
        chosen = learning.RECIPES[recipe]
        budget = learning.Budget(chosen.patch or (12, 96, 96), chosen.batch, 0, 10, 5)
        return learning._config("crowded", chosen, learning.VARIANTS[name], budget, tmp_path)

    recipe = config_of("recipe")
    assert recipe.data.dataloader.foreground_fraction == 0.6
    assert recipe.optimization.max_steps == 10
    names = ["bias 0", "rejection, slivers", "pos_weight 2, half Dice", "deeper", "flips alone"]
    for name in names:
        assert config_of(name) != recipe
    on_gpu = config_of("recipe", "gpu")
    assert on_gpu.data.dataloader.patch_size == (18, 256, 256)
    assert (on_gpu.data.dataloader.batch_size, on_gpu.optimization.max_steps) == (4, 10)


def test_means_and_spread_are_those_of_the_seeds(tmp_path):
    import learning

    rows = [
        learning.Row("--recipe cpu", "cortex", "recipe", seed, 10.0, 5, 2.0, f1, f1 / 2, 1.0)
        for seed, f1 in enumerate((0.5, 0.7, 0.9))
    ]
    assert learning.table(rows).splitlines()[1] == (
        "cortex | recipe | 10 | 0.70 (0.50-0.90) | 0.35 (0.25-0.45) | 2 | 3"
    )
    file = tmp_path / "rows.csv"
    learning._append(file, rows[:1])
    learning._append(file, rows[1:])
    assert learning._read(file) == rows


def test_rows_are_taken_only_for_what_they_were_measured_with(tmp_path, monkeypatch, capsys):
    import learning

    trained = []

    def measured(volumes, name, changes, seed, options):
        trained.append((options.recipe, name, changes))
        setup = learning.setup_of(options)
        yield learning.Row(setup, "crowded", name, seed, 10.0, 5, 2.0, 0.5, 0.25, 1.0)

    monkeypatch.setattr(learning, "measure", measured)
    monkeypatch.setattr(learning, "read_volumes", lambda tissue: tissue)
    change = ("--change", "other: optimization.optimizer.lr=1e-3")
    for more in (["--recipe", "gpu"], ["--recipe", "cpu"], ["--recipe", "cpu"], change):
        words = ["--variant", "recipe", "--seeds", "0", "--rows", str(tmp_path / "rows.csv"), *more]
        monkeypatch.setattr(sys, "argv", ["learning.py", *words])
        learning.main()
    recipes = [("gpu", "recipe", ()), ("cpu", "recipe", ()), ("demo", "recipe", ())]
    assert trained == [*recipes, ("demo", "other", ("optimization.optimizer.lr=1e-3",))]
    monkeypatch.setattr(sys, "argv", ["learning.py", "--variant", "no such variant"])
    with pytest.raises(SystemExit):
        learning.main()
    assert "invalid choice: 'no such variant'" in capsys.readouterr().err
    (tmp_path / "rows.csv").write_text("tissue,variant\n")
    with pytest.raises(SystemExit, match="has other columns; name another file with --rows"):
        learning._read(tmp_path / "rows.csv")


def test_post_activation_is_the_same_network_in_the_other_order():
    from baselines.post_activation import PostActivation, post_activation

    from connectomics.models import RSUNet
    from connectomics.models.blocks import ResidualModule

    shape = {"filters": (4, 8), "down_factors": ((1, 2, 2),)}
    with post_activation():
        other = RSUNet(**shape)
    ours = RSUNet(**shape)
    assert not any(isinstance(module, ResidualModule) for module in other.modules())
    assert sum(isinstance(module, PostActivation) for module in other.modules()) == 3
    convolutions = [
        [module.weight.shape for module in network.modules() if isinstance(module, torch.nn.Conv3d)]
        for network in (ours, other)
    ]
    assert convolutions[0] == convolutions[1]
    assert isinstance(ours.encoder[0], ResidualModule)


def test_the_plain_loop_learns_something():
    from baselines import plain_loop

    rng = np.random.default_rng(0)
    target = np.zeros((1, 8, 64, 64), np.uint8)
    target[0, 2:6, 20:40, 20:40] = 1
    image = (100 + 100 * target[0] + rng.integers(-20, 20, target.shape[1:])).astype(np.uint8)
    torch.set_num_threads(1)
    course = plain_loop.train(
        image, target, patch=(4, 32, 32), batch=2, steps=30, every=15, seed=0, lr=0.02
    )
    snapshots = [
        (snapshot.step, snapshot.predict(torch.from_numpy(image[None, None] / 255).float()))
        for snapshot in course
    ]
    assert [step for step, _ in snapshots] == [15, 30]
    inside, outside = target > 0, target == 0
    last = snapshots[-1][1].detach().numpy()[0]
    assert last[inside].mean() > last[outside].mean() + 0.3
