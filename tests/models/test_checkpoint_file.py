from __future__ import annotations

import io
import os
import pickle
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_checkpoints import checkpoint_of, saved
from torch import nn

from connectomics.errors import CheckpointError
from connectomics.models.checkpoint_file import read_checkpoint_file, tensors_in

SMALL = {"state_dict": {"a": torch.arange(6.0).reshape(2, 3)}, "step": 3}


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_what_is_written_is_read(tmp_path):
    found = read_checkpoint_file(saved(tmp_path / "a.ckpt", SMALL))
    assert found["step"] == 3
    assert torch.equal(found["state_dict"]["a"], SMALL["state_dict"]["a"])


def test_a_pickle_that_does_something_is_refused_and_does_nothing(tmp_path):
    trap = tmp_path / "sprung"
    path = saved(tmp_path / "evil.ckpt", checkpoint_of(extra=Trap(trap)))
    with pytest.raises(CheckpointError, match=r"refused: it holds getattr"):
        read_checkpoint_file(path)
    assert not trap.exists()
    torch.load(path, weights_only=False)
    assert trap.exists()


def zip_of_nothing(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def packed(path: Path) -> None:
    """A file that would fill the memory when it is unpacked."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**7))


def doubled(path: Path) -> None:
    """A whole checkpoint, and another part of a name that it has already."""
    saved(path, SMALL)
    with zipfile.ZipFile(path, "a") as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data/0"))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(name, bytes(24))


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"model/{name}", pickle.dumps(None))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is no ordinary file"),
        (lambda path: path.symlink_to(path), "no such file"),
        (lambda path: path.symlink_to("/dev/zero"), "is no ordinary file"),
        (lambda path: None, "no such file"),
        (lambda path: path.write_text("weights: 1"), "is not a checkpoint"),
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "is not a checkpoint"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html>"), "is a web page"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "Git LFS"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "HDF5"),
        (lambda path: path.write_bytes(pickle.dumps({"state_dict": {}})), "a bare pickle"),
        (lambda path: path.write_bytes(bytes([88, *[0] * 7]) + b'{"a":1}'), "safetensors"),
        (lambda path: torch.save(SMALL, path, _use_new_zipfile_serialization=False), "bare pickle"),
        (zip_of_nothing, "a zip file"),
        (packed, "not of PyTorch's"),
        (doubled, "parts of it are there twice"),
        (script, "TorchScript"),
        (lambda path: saved(path, [1, 2]), "holds a list"),
        (lambda path: saved(path, nn.Linear(1, 1)), r"torch\.nn\.modules\.linear\.Linear"),
        (lambda path: saved(path, SMALL["state_dict"]["a"]), "holds a Tensor"),
    ],
)
def test_each_other_file_is_called_what_it_is(tmp_path, write, said):
    path = tmp_path / "some.ckpt"
    write(path)
    with pytest.raises(CheckpointError, match=said) as raised:
        read_checkpoint_file(path)
    (fault,) = raised.value.faults
    assert fault.where == str(path)
    assert fault.remedy


def test_a_file_that_is_cut_off_anywhere(tmp_path):
    content = saved(tmp_path / "a.ckpt", SMALL).read_bytes()
    path = tmp_path / "cut.ckpt"
    for length in range(0, len(content), 23):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"cut\.ckpt"):
            read_checkpoint_file(path)


def test_a_bit_that_has_flipped_is_found_or_changes_nothing(tmp_path):
    content = saved(tmp_path / "a.ckpt", SMALL).read_bytes()
    path = tmp_path / "flipped.ckpt"
    refused = 0
    for place in range(0, 8 * len(content), 61):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = read_checkpoint_file(path)
        except CheckpointError:
            refused += 1
            continue
        assert found["step"] == 3
        assert torch.equal(found["state_dict"]["a"], SMALL["state_dict"]["a"])
    assert refused > 20


def test_a_flipped_bit_of_a_weight_names_the_part(tmp_path):
    weight = torch.full((1000,), 1.5)
    path = saved(tmp_path / "a.ckpt", {"state_dict": {"a": weight}})
    content = bytearray(path.read_bytes())
    place = content.find(weight.numpy().tobytes())
    content[place + 2001] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"the checksum of .*data/0 is wrong"):
        read_checkpoint_file(path)


def forged(path: Path, rebuild: str, arguments: tuple[Any, ...], numel: int) -> Path:
    """A file whose tensor is made as `arguments` say, of a storage of four floats."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            key = ("storage", torch.FloatStorage, "0", "cpu", numel)
            return key if isinstance(obj, Storage) else None

    class Tensor:
        def __reduce__(self) -> Any:
            return getattr(torch._utils, rebuild), (Storage(), *arguments)

    data = io.BytesIO()
    Pickler(data, protocol=2).dump({"state_dict": {"a": Tensor()}})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data.getvalue())
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/data/0", torch.arange(4.0).numpy().tobytes())
    return path


@pytest.mark.parametrize(
    ("offset", "size", "stride", "numel"),
    [
        (0, (10**18,), (0,), 4),
        (0, (10**18,), (1,), 4),
        (0, (2**31, 2**31), (0, 0), 4),
        (0, (4,), (-1,), 4),
        (0, (-4,), (1,), 4),
        (0, (5,), (1,), 4),
        (10**12, (1,), (1,), 4),
        (-1, (1,), (1,), 4),
        (0, (4,), (1,), 10**18),
        (0, (4,), (1,), -4),
        (0, ("4",), (1,), 4),
    ],
)
def test_impossible_sizes(tmp_path, offset, size, stride, numel):
    path = forged(
        tmp_path / "a.ckpt", "_rebuild_tensor_v2", (offset, size, stride, False, {}), numel
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"a\.ckpt"):
        read_checkpoint_file(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def pickled(path: Path, opcodes: bytes) -> Path:
    """A file whose pickle holds {a: what the opcodes make}, or {what they make: a}."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + opcodes + b".")
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/version", b"3\n")
    return path


BYTES = b"c__builtin__\nbytearray\n\x8a\x05\x00\x5e\xd0\xb2\x00\x85R"  # bytearray(3e9)
DOUBLED = b"K\x01K\x01\x86q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))


@pytest.mark.parametrize(
    ("opcodes", "said"),
    [
        (b"}K\x01" + BYTES + b"s", "holds a bytearray"),
        (b"}K\x01ctorch\nSize\n" + BYTES + b"\x85Rs", "holds a bytearray"),
        (b"}K\x01ccollections\nCounter\n" + BYTES + b"\x85Rs", "holds a bytearray"),
        (b"}" + DOUBLED + b"K\x01s", "holds tuples within tuples"),
    ],
    ids=["bytearray", "size of bytearray", "counted bytearray", "doubled tuple as a key"],
)
def test_a_few_bytes_that_would_fill_memory_or_never_end(tmp_path, opcodes, said):
    path = pickled(tmp_path / "a.ckpt", opcodes)
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint_file(path)


def test_tuples_may_be_shared(tmp_path):
    betas = (0.9, 0.999)
    path = saved(tmp_path / "a.ckpt", {"groups": [{"betas": betas} for _ in range(30)]})
    assert read_checkpoint_file(path)["groups"][29]["betas"] == betas


def test_a_forged_file_that_claims_what_it_has_is_read(tmp_path):
    path = forged(tmp_path / "a.ckpt", "_rebuild_tensor_v2", (0, (2, 2), (2, 1), False, {}), 4)
    assert read_checkpoint_file(path)["state_dict"]["a"].tolist() == [[0, 1], [2, 3]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (10**12,)),
        lambda: torch.empty(10**12, device="meta"),
        lambda: torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8),
        lambda: torch.zeros(1).expand(10**12),
    ],
    ids=["sparse", "meta", "quantized", "expanded"],
)
def test_tensors_that_are_not_plain(tmp_path, odd):
    path = saved(tmp_path / "a.ckpt", {"state_dict": {"a": odd()}})
    with pytest.raises(CheckpointError, match=r"a\.ckpt.*state_dict\.a"):
        read_checkpoint_file(path)


def test_a_container_within_itself_is_walked_once():
    inner: dict[str, Any] = {"a": torch.zeros(1)}
    inner["self"] = inner
    assert [place for place, _ in tensors_in([inner, inner])] == ["1.a"]


@pytest.mark.parametrize("named", ["mine/TIMESTAMP", "mine/TIMESTAMP/checkpoints/last.ckpt"])
def test_of_a_run_that_is_not_there_the_newest_of_its_experiment_is_named(tmp_path, named):
    there = tmp_path / "mine" / "2026" / "checkpoints"
    there.mkdir(parents=True)
    last = saved(there / "last.ckpt", SMALL)
    with pytest.raises(CheckpointError, match="no such file") as raised:
        read_checkpoint_file(tmp_path / named)
    assert raised.value.faults[0].remedy == f"The newest of this experiment is {last}."
