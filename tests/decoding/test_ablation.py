"""On phantoms with known synapses the decoder beats the baseline, untuned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from connectomics.data.io import save_volume

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "benchmarks" / "ablation.py"
SMALL = (20, 224, 224)


@pytest.fixture(scope="module")
def ablation():
    """The benchmark as a module; it imports what lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(COMMAND.parent))
        import ablation

        yield ablation
    for name in ("ablation", "simulated_network"):
        sys.modules.pop(name, None)


def baseline_and_all(ablation, volumes):
    """The scores of both at IoU 0.3 and 0.5."""
    decoders = {"baseline": ablation.Decoder(ablation.BASELINE), "all": ablation.Decoder({})}
    return ablation.measure(volumes, decoders)


HARD = pytest.mark.parametrize(
    ("scene", "output", "gain"),
    [
        ({"crowding": 0.9, "synapse_density_um3": 3.0}, {}, 0.2),
        ({"polyadic": 0.8, "synapse_density_um3": 3.0}, {}, 0.05),
        ({"synapse_density_um3": 2.0}, {"damaged": 0.15}, 0.05),
    ],
)


def check_gain(ablation, seeds, scene, output, gain):
    scene = ablation.Scene({"shape": SMALL} | scene, output)
    found = baseline_and_all(ablation, ablation.simulated(scene, seeds))
    for baseline, beyond in zip(found["baseline"], found["all"], strict=True):
        assert beyond.f1_pol >= baseline.f1_pol + gain


@HARD
def test_the_defaults_beat_the_baseline(ablation, scene, output, gain):
    check_gain(ablation, [7], scene, output, gain)


@pytest.mark.slow
@HARD
def test_the_defaults_beat_the_baseline_over_many_phantoms(ablation, scene, output, gain):
    check_gain(ablation, list(range(5, 17)), scene, output, gain)


def separated(ablation, seed, errors):
    """Well-separated synapses as a network sees them that makes more or fewer errors."""
    scene = ablation.Scene({"shape": SMALL, "synapse_density_um3": 1.5}, {"errors": errors})
    (volume,) = ablation.simulated(scene, [seed])
    return volume


def blurred(volume, low, high, seed):
    """Probabilities that are the truth, blurred, between two values, with some noise."""
    truth = volume.truth
    sides = (truth % 2 == 1, (truth > 0) & (truth % 2 == 0), truth > 0)
    p = np.stack([gaussian_filter(side.astype(np.float32), (0.4, 1.2, 1.2)) for side in sides])
    p = low + (high - low) * p + np.random.default_rng(seed).normal(0, 0.03, p.shape)
    return volume._replace(probabilities=np.clip(p, 0, 1).astype(np.float32))


def check_never_worse(ablation, seed):
    """On the truth itself, sharp or underconfident, and with few errors or more."""
    volume = separated(ablation, seed, 0.0)
    for low, high in ((0.02, 0.98), (0.1, 0.7)):
        found = baseline_and_all(ablation, [blurred(volume, low, high, seed)])
        for baseline, beyond in zip(found["baseline"], found["all"], strict=True):
            assert beyond.f1_pol == baseline.f1_pol == 1
    for errors in (0.3, 0.6):
        found = baseline_and_all(ablation, [separated(ablation, seed, errors)])
        for baseline, beyond in zip(found["baseline"], found["all"], strict=True):
            assert beyond.f1_pol >= baseline.f1_pol


def test_on_well_separated_synapses_it_is_never_worse(ablation):
    check_never_worse(ablation, 11)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [12, *range(100, 118)])
def test_on_many_well_separated_synapses_it_is_never_worse(ablation, seed):
    check_never_worse(ablation, seed)


@pytest.mark.slow
def test_on_well_separated_synapses_of_a_bad_network_it_is_far_better(ablation):
    volumes = (separated(ablation, seed, 1.0) for seed in range(100, 118))
    found = baseline_and_all(ablation, volumes)
    for baseline, beyond in zip(found["baseline"], found["all"], strict=True):
        assert beyond.f1_pol >= baseline.f1_pol + 0.2


def run_command(*options):
    return subprocess.run(
        [sys.executable, str(COMMAND), *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def table_rows(done):
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("|")]


@pytest.mark.slow
@pytest.mark.parametrize(("part", "rows"), [("points", 23), ("settings", 13)])
def test_the_command_prints_a_table(part, rows):
    done = run_command("--part", part, "--seeds", 3, "--shape", 12, 128, 128)
    assert len(table_rows(done)) == 2 + rows


@pytest.fixture(scope="module")
def files(ablation, tmp_path_factory):
    """Two volumes on disk: probabilities that know their voxel size, truth and neurons."""
    folder = tmp_path_factory.mktemp("volumes")
    scene = ablation.Scene({"shape": (12, 128, 128), "synapse_density_um3": 2.0})
    for number, volume in enumerate(ablation.simulated(scene, [3, 4])):
        path = folder / f"p{number}.h5"
        save_volume(path, volume.probabilities, resolution=volume.resolution)
        with h5py.File(folder / f"t{number}.h5", "w") as file:
            file["label"], file["neurons"] = volume.truth, volume.neurons
    return folder


def test_it_runs_on_files(files):
    done = run_command(
        *("--probabilities", files / "p*.h5"),
        *("--truth", f"{files / 't*.h5'}::label"),
        *("--neurons", f"{files / 't*.h5'}::neurons"),
    )
    rows = table_rows(done)
    assert len(rows) == 2 + 23
    assert "p0.h5 and" in done.stderr
    assert "t1.h5::label" in done.stderr


def test_without_neurons_what_needs_them_is_left_out(files):
    done = run_command("--probabilities", files / "p0.h5", "--truth", f"{files / 't0.h5'}::label")
    rows = table_rows(done)
    assert len(rows) == 2 + 19
    assert not any("neurons" in row for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--probabilities", "p0.h5", "p1.h5", "--truth", "t0.h5::label"], "as many files"),
        (["--truth", "t0.h5::label"], "as many files"),
        (["--probabilities", "none*.h5", "--truth", "t0.h5::label"], "no file fits"),
        (["--probabilities", "p0.h5", "--truth", "none.h5"], "none.h5"),
        (["--probabilities", "t0.h5::label", "--truth", "t0.h5::label"], "give --resolution"),
    ],
)
def test_faults_are_named(files, options, message):
    done = run_command(*(o if o.startswith("--") else files / o for o in options))
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
