from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A (Z, Y, X) volume in which every voxel differs from its neighbours."""
    return (np.arange(7 * 11 * 13) * 37 % 251).reshape(7, 11, 13).astype(np.uint8)


@pytest.fixture
def probabilities() -> NDArray[np.float32]:
    """A (C, Z, Y, X) volume with three channels."""
    random = np.random.default_rng(0)
    return random.random((3, 5, 6, 8), dtype=np.float32)


@pytest.fixture
def names():
    """Names of what lies in a folder, hidden files included."""

    def listed(folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    return listed


PROGRAM = Path(__file__).parent / "store_samples.py"


@pytest.fixture(scope="session")
def labels() -> NDArray[np.uint64]:
    """A (Z, Y, X) volume of large ids, a part of it background."""
    random = np.random.default_rng(0)
    ids = random.integers(1, 2**40, 20).astype(np.uint64)
    labels = ids[random.integers(0, 20, (7, 11, 13))]
    labels[:, :8] = 0
    return labels


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory, labels: NDArray[np.uint64]) -> Path:
    """A folder of stores that TensorStore has written; see `store_samples.py`."""
    pytest.importorskip("tensorstore")
    folder = tmp_path_factory.mktemp("samples")
    image = (np.arange(7 * 11 * 13) * 37 % 251).reshape(7, 11, 13).astype(np.uint8)
    channels = np.random.default_rng(0).random((3, 5, 6, 8), dtype=np.float32)
    for name, values in {"image": image, "labels": labels, "channels": channels}.items():
        np.save(folder / f"{name}.npy", values)
    subprocess.run([sys.executable, PROGRAM, "write", folder], check=True)
    return folder
