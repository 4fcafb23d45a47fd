"""What the machine refused, in words: space, memory, permission, a process that was killed."""

from __future__ import annotations

import errno
import re

from connectomics.errors import MachineError

OTHER_FOLDERS = (
    "choose a folder you may write to (save_path=FOLDER, with a copy of the checkpoint outside of "
    "its run if one is named; output=FOLDER without a config)."
)
ELSEWHERE = f"Free some space or {OTHER_FOLDERS}"
_MEMORY = (
    "Use smaller patches, batches or windows (data.dataloader, inference.window), "
    "or a machine with more."
)
_REMEDIES = {
    errno.ENOSPC: ELSEWHERE,
    errno.EDQUOT: ELSEWHERE,
    errno.EFBIG: ELSEWHERE,
    errno.EIO: "The disk or the network to it fails: try again, or choose another place.",
    errno.ESTALE: "The network disk was taken away meanwhile: try again.",
    errno.EROFS: f"C{OTHER_FOLDERS[1:]}",
    errno.EACCES: "Check the permissions, or choose another place.",
    errno.EPERM: "Check the permissions, or choose another place.",
    errno.EISDIR: "A folder lies where a file belongs: put it elsewhere.",
    errno.ENOTDIR: "A file lies where a folder belongs: put it elsewhere.",
    errno.ENAMETOOLONG: "No file can be called so: shorten the name.",
    errno.EMFILE: "Raise the number of files a program may open: ulimit -n 4096",
    errno.ENFILE: "Too many files are open on this machine: close other programs.",
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: "The machine starts no more processes: close other programs, or raise ulimit -u.",
}


def machine_error(error: BaseException) -> MachineError | None:
    """Say in words what the machine refused, if that is what an error is about.

    Args:
        error: Any error.

    Returns:
        None where it is about something else.

    >>> print(machine_error(OSError(errno.ENOSPC, "No space left on device", "a.h5")))
    MachineError: a.h5: No space left on device.
      Free some space or choose a folder you may write to (save_path=FOLDER, with a copy of the \
checkpoint outside of its run if one is named; output=FOLDER without a config).
    """
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        where = str(error.filename or "this machine")
        return MachineError(where, f"{error.strerror}.", _REMEDIES[error.errno])
    if isinstance(error, MemoryError):
        return MachineError("memory", f"does not suffice{_said(error)}.", _MEMORY)
    if isinstance(error, RuntimeError) or type(error).__name__.startswith("Process"):
        return _of_torch(str(error))
    return None


def _of_torch(text: str) -> MachineError | None:
    """What PyTorch says in errors of no class of their own, here or of another process."""
    if "CUDA out of memory" in text:
        return MachineError("GPU memory", "does not suffice.", _MEMORY)
    if "can't allocate memory" in text or "not enough memory" in text:
        return MachineError("memory", "does not suffice.", _MEMORY)
    if "terminated with signal SIGKILL" in text:
        problem = "a process that trains was killed, most likely because memory ran out."
        return MachineError("training", problem, _MEMORY)
    worker = re.search(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (.*)", text)
    return _of_worker(worker[1]) if worker else None


def _of_worker(fate: str) -> MachineError:
    """A process that prepares patches has died."""
    where, lost = "data.dataloader.num_workers", "a process that prepares patches was killed"
    fewer = "Set fewer, or 0 to do without, or use smaller patches and batches."
    if "Bus error" in fate:
        return MachineError(
            where,
            f"{lost}: the shared memory (/dev/shm) is full, or a file was cut short.",
            f"{fewer} A container gets more shared memory with --shm-size.",
        )
    if "Killed" in fate:
        return MachineError(where, f"{lost}, most likely because memory ran out.", fewer)
    return MachineError(where, f"{lost}: it {fate.strip().rstrip('.')}.", fewer)


def _said(error: BaseException) -> str:
    return f": {error}".rstrip(".") if str(error) else ""
