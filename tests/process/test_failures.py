from __future__ import annotations

import errno

import pytest

from connectomics.process.failures import machine_error

BUS = (
    "DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory."
)


@pytest.mark.parametrize(
    ("error", "where", "problem", "remedy"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded", "x.h5"), "x.h5", "Disk quota", "Free some"),
        (OSError(errno.ENOSPC, "No space left on device"), "this machine", "No space", "Free some"),
        (OSError(errno.EISDIR, "Is a directory", "x.h5"), "x.h5", "Is a", "put it elsewhere"),
        (OSError(errno.EMFILE, "Too many open files"), "this machine", "Too many", "ulimit -n"),
        (MemoryError("Unable to allocate 3 TiB"), "memory", "allocate 3 TiB", "smaller patches"),
        (RuntimeError("CUDA out of memory. Tried"), "GPU memory", "suffice", "smaller patches"),
        (RuntimeError(BUS), "data.dataloader.num_workers", "/dev/shm", "--shm-size"),
        (
            RuntimeError("DataLoader worker (pid 71) is killed by signal: Killed. "),
            "data.dataloader.num_workers", "memory ran out", "Set fewer",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"),
            "data.dataloader.num_workers", "it exited unexpectedly", "Set fewer",
        ),
    ],
)  # fmt: skip
def test_what_the_machine_refused_is_said_with_its_remedy(error, where, problem, remedy):
    refused = machine_error(error)
    assert refused is not None
    (fault,) = refused.faults
    assert fault.where == where
    assert problem in fault.problem
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("shapes differ"), OSError("no number"), KeyError(1)]
)
def test_other_errors_are_left_to_whoever_knows_them(error):
    assert machine_error(error) is None


def test_a_name_that_no_file_can_have():
    error = machine_error(OSError(errno.ENAMETOOLONG, "File name too long", "x.h5"))
    assert str(error) == (
        "MachineError: x.h5: File name too long.\n  No file can be called so: shorten the name."
    )
