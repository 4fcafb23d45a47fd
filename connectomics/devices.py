"""What a machine trains and predicts on: GPUs or CPUs, their precision, threads and memory."""

from __future__ import annotations

from typing import Literal

import torch

from connectomics.config.schema import SystemSection
from connectomics.errors import ConfigError
from connectomics.process.cpus import available_cpus, cpus_taken
from connectomics.process.fitting import Memory

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

FASTEST = "Set optimization.precision=auto: it takes what this machine is fast in."


def choose_devices(system: SystemSection, precision: str = "32-true") -> tuple[str, int]:
    """Decide where to train.

    Returns:
        "gpu" or "cpu", and how many GPUs or processes.

    Raises:
        ConfigError: More GPUs are asked for than there are, or a precision that needs one.
    """
    found = torch.cuda.device_count()
    wanted = found if system.num_gpus == "auto" else system.num_gpus
    if wanted > found:
        raise ConfigError(
            "system.num_gpus",
            f"{wanted} asked for, and PyTorch {torch.__version__} sees {found}.",
            "Set system.num_gpus=0 to train on the CPU, or auto to take what there is.",
        )
    if precision == "16-mixed" and not wanted:
        raise ConfigError(
            "optimization.precision",
            "16-mixed needs a GPU.",
            FASTEST,
        )
    return ("gpu", wanted) if wanted else ("cpu", system.num_cpu_processes)


def choose_precision(precision: Precision | Literal["auto"], accelerator: str) -> Precision:
    """Decide what `auto` stands for on this machine; anything else stands for itself.

    Args:
        precision: `optimization.precision`.
        accelerator: "gpu" or "cpu".
    """
    if precision != "auto":
        return precision
    if accelerator == "gpu":
        ampere = torch.cuda.get_device_capability() >= (8, 0)
        return "bf16-mixed" if ampere else "16-mixed"
    return "bf16-mixed" if computes_bfloat16() else "32-true"


def slow_precision(precision: Precision | Literal["auto"], accelerator: str) -> list[str]:
    """Warn of a precision that the user set and this machine does not compute itself.

    Args:
        precision: `optimization.precision`, as the user has it.
        accelerator: "gpu" or "cpu".
    """
    if precision != "bf16-mixed" or accelerator != "cpu" or computes_bfloat16():
        return []
    return [
        "optimization.precision: bf16-mixed is tens of times slower than 32-true on this "
        f"processor, which does not compute bfloat16 itself.\n  {FASTEST}"
    ]


def precision_to_predict(precision: Precision | Literal["auto"], accelerator: str) -> Precision:
    """As `choose_precision`; but a CPU predicts in float32 where it does not compute bfloat16."""
    chosen = choose_precision(precision, accelerator)
    mixed = accelerator == "gpu" or (chosen == "bf16-mixed" and computes_bfloat16())
    return chosen if mixed else "32-true"


def computes_bfloat16() -> bool:
    """Whether the processor itself does; on others PyTorch is many times slower than in float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def threads_of_torch(system: SystemSection) -> int:
    """How many threads PyTorch is to use: those asked for, or no more than there are CPUs."""
    return system.num_threads or min(torch.get_num_threads(), available_cpus())


def crowded_cpus(system: SystemSection, accelerator: str) -> list[str]:
    """Warn where other programs need the CPUs on which PyTorch's threads would run.

    The threads wait for each other many times a step: where one has to share its CPU, all stand.

    Args:
        system: The section; a number of threads that the user set is taken at its word.
        accelerator: "gpu" or "cpu".
    """
    threads, cpus = threads_of_torch(system), available_cpus()
    if accelerator != "cpu" or system.num_threads is not None or threads == 1:
        return []
    taken = cpus_taken()
    if threads + taken < cpus + 0.5:
        return []
    left = max(1, min(threads - 1, round(cpus - taken)))
    return [
        f"other programs keep {taken:.1f} of the {cpus} CPUs busy, and where a thread has to share "
        f"its CPU all {threads} wait for it.\n  Set system.num_threads={left}, which may be many "
        "times as fast, unless they end soon."
    ]


def memory_of_gpu(device: torch.device) -> Memory:
    """The memory of the GPU that PyTorch uses next."""
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    held = torch.cuda.memory_allocated(device)
    return Memory("the GPU", held, free + reserved - held, total)
