"""What a pickle would make, told before it is made."""

from __future__ import annotations

import pickle
import zipfile

import torch

from connectomics.models.pickle_scan import outgrown


def nested(levels: int, times: int) -> tuple:
    """A tuple that holds another so many times, which holds another ..."""
    made: tuple = (1,)
    for _ in range(levels):
        made = (made,) * times
    return made


def test_tuples_that_double_with_each_step():
    assert outgrown(pickle.dumps(nested(40, 2), protocol=2)) == "tuples within tuples"
    assert outgrown(pickle.dumps(nested(4, 1000), protocol=2)) == "tuples within tuples"
    assert outgrown(pickle.dumps(nested(2, 3), protocol=2)) is None


def test_tuples_that_take_each_others_place():
    doubling = b"K\x01\x85q\x00" + b"h\x00h\x00\x86q\x00" * 60
    assert outgrown(b"\x80\x02" + doubling + b".") == "tuples within tuples"


def test_the_settings_that_many_parameter_groups_share_are_no_growth(tmp_path):
    network = torch.nn.ModuleList([torch.nn.Linear(2, 2) for _ in range(60)])
    groups = [{"params": [one], "lr": 1e-3 / k} for k, one in enumerate(network.parameters(), 1)]
    saved = {
        "state_dict": network.state_dict(),
        "optimizer": torch.optim.AdamW(groups).state_dict(),
    }
    torch.save(saved, tmp_path / "other.pt")
    with zipfile.ZipFile(tmp_path / "other.pt") as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("data.pkl"))
        assert outgrown(archive.read(name)) is None
