from __future__ import annotations

import pytest

from connectomics.errors import MachineError
from connectomics.process.fitting import Memory, Need, memory_of_machine, require_room

GIB = 2**30
MACHINE = Memory("this machine", used=1 * GIB, free=4 * GIB, total=8 * GIB)


def judge(predicted: float, least: float, memory: Memory = MACHINE) -> tuple[str, str]:
    need = Need(int(predicted * GIB), int(least * GIB))
    return require_room(need, memory, "training", "Set less.")


def test_what_is_free_is_taken_without_a_warning():
    line, warning = judge(3.5, 3)
    assert line == (
        "memory: 4.5 GiB predicted of the 8.0 GiB of this machine, of which 4.0 GiB are free"
    )
    assert not warning


def test_what_others_use_now_may_be_free_later_and_is_warned_of():
    _, warning = judge(6, 5)
    assert "training is predicted to take 6.0 GiB more than is taken already" in warning
    assert warning.endswith("4.0 GiB are free. Set less.")


def test_a_prediction_alone_refuses_nothing():
    assert judge(20, 7)[1]


def test_what_can_never_fit_is_refused():
    with pytest.raises(MachineError, match=r"training takes at least 8\.1 GiB, and this machine"):
        judge(20, 7.1)


def test_where_nobody_says_how_much_there_is_nothing_is_refused():
    line, warning = judge(20, 20, MACHINE._replace(total=None))
    assert line == "memory: 21.0 GiB predicted, and 4.0 GiB of this machine are free"
    assert warning


def test_this_machine():
    memory = memory_of_machine()
    assert memory.total is not None
    assert 0 < memory.used < memory.total
    assert memory.free < memory.total
