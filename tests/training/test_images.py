from __future__ import annotations

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from connectomics.training import fit
from connectomics.training.images import CAPTION, COLOURS, image_grid

HEIGHT, WIDTH = 20 + CAPTION + 2, 30 + 2


def grid_of(target: np.ndarray, probability: np.ndarray, num_slices: int = 2) -> np.ndarray:
    image = np.zeros(target.shape[1:], np.float32)
    image[0, 0, 0] = 1
    return image_grid(image, target, probability, num_slices=num_slices)


def pixel(grid: np.ndarray, row: int, column: int, y: int, x: int) -> list[int]:
    return grid[row * HEIGHT + CAPTION + y, column * WIDTH + 1 + x].tolist()


def test_layout_and_colours():
    target = np.zeros((3, 6, 20, 30), np.float32)
    target[0, 2, 5:9, 5:9] = target[2, 2, 5:9, 5:9] = 1
    target[1, 4, 5:9, 15:19] = target[2, 4, 5:9, 15:19] = 1
    grid = grid_of(target, 0.4 * target)
    assert grid.shape == (3 * HEIGHT, 2 * WIDTH, 3)
    assert grid.dtype == np.uint8
    pre, post = (list(colour) for colour in COLOURS[:2])
    # the two sections with something in them: the line lies around it, in the colour of its side
    assert pixel(grid, 0, 0, 4, 6) == [0, 0, 0]
    assert pixel(grid, 1, 0, 4, 6) == pre
    assert pixel(grid, 1, 0, 6, 6) == [0, 0, 0]
    assert pixel(grid, 1, 1, 9, 16) == post
    assert pixel(grid, 2, 0, 4, 6) == [0, 0, 0]  # predicted, but below one half


def test_sections_beside_a_thin_synapse_fill_the_row():
    target = np.zeros((1, 9, 20, 30), np.float32)
    target[0, 4, 5:9, 5:9] = 1
    grid = grid_of(target, target, num_slices=4)
    assert grid.shape[1] == 4 * WIDTH
    line = [pixel(grid, 1, column, 4, 6) == list(COLOURS[0]) for column in range(4)]
    assert line == [False, False, True, False]  # sections 2 to 5


def test_an_enlarged_voxel_is_a_square_and_its_outline_a_line():
    target = np.zeros((1, 1, 4, 4), np.float32)
    target[0, 0, 1, 1] = 1
    grid = image_grid(target[0], target, target, enlarged=3)
    assert grid.shape == (3 * (12 + CAPTION + 2), 12 + 2, 3)
    shown = grid[CAPTION : CAPTION + 12, 1:13, 0]
    assert np.argwhere(shown == 255).min(axis=0).tolist() == [3, 3]
    assert (shown == 255).sum() == 9
    second = grid[12 + CAPTION + 2 :][CAPTION : CAPTION + 12, 1:13]
    assert (second == COLOURS[0]).all(axis=-1).sum() == 12


@pytest.mark.parametrize(("depth", "columns"), [(1, 1), (3, 3), (40, 4)])
def test_no_section_is_shown_twice(depth, columns):
    blank = np.zeros((1, depth, 20, 30), np.float32)
    assert grid_of(blank, blank, num_slices=4).shape[1] == columns * WIDTH


def test_validation_pictures_are_logged(make_config, tmp_path):
    config = make_config(
        optimization={"max_steps": 3, "n_steps_per_epoch": 1},
        monitor={"logging": {"images": {"every_n_epochs": 2, "max_images": 2, "num_slices": 2}}},
    )
    fit(config, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["validation/1 (worst)", "validation/2"]
    assert [event.step for event in events.Images("validation/2")] == [1, 3]
    assert {"train_loss", "val_loss", "val_dice", "lr"} <= set(events.Tags()["scalars"])
    assert "epoch" not in events.Tags()["scalars"]


def test_pictures_can_be_switched_off(make_config, tmp_path):
    config = make_config(
        optimization={"max_steps": 1}, monitor={"logging": {"images": {"max_images": 0}}}
    )
    fit(config, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["images"] == []


@pytest.mark.parametrize(
    ("writer", "method"), [(RecordWriter, "write"), (SummaryWriter, "add_scalar")]
)
def test_a_full_disk_costs_the_curves_and_not_the_training(
    make_config, tmp_path, monkeypatch, capsys, writer, method
):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, method, full)  # the first is called by a thread of TensorBoard's
    assert fit(make_config(optimization={"max_steps": 6}), tmp_path).step == 6
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("cannot be written: No space left on device.") == 1
    assert "Training goes on without TensorBoard. Free some space" in err
