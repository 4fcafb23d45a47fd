from __future__ import annotations

import os
import pickle
import signal
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from torch.multiprocessing.spawn import ProcessExitedException

from connectomics.process.signals import STOPPING, Stopped, restore
from connectomics.training.stopping import StopOnSignal, TrainingStopped, supervising


class Process:
    """Stands for a process that trains."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def is_alive(self) -> bool:
        return True

    def terminate(self) -> None:
        self.got.append("terminate")

    def kill(self) -> None:
        self.got.append("kill")


def trainer_with(*processes: Process) -> Any:
    strategy = SimpleNamespace(launcher=SimpleNamespace(procs=processes))
    return cast(Any, SimpleNamespace(world_size=2, strategy=strategy))


def supervise(trainer: Any, *signals: signal.Signals, error: Exception | None = None) -> None:
    """Let this process receive signals, and the training then end with an error."""
    with supervising(trainer, Path("last.ckpt")):
        for number in signals:
            os.kill(os.getpid(), number)
        if error is not None:
            raise error


def exited(code: int) -> ProcessExitedException:
    return ProcessExitedException("left", error_index=0, error_pid=1, exit_code=code)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_passed_on_and_the_run_ends_with_its_code(number):
    processes = Process(), Process()
    with pytest.raises(TrainingStopped) as stopped:
        supervise(trainer_with(*processes), number, error=exited(143))
    assert stopped.value.code == 128 + number
    assert [process.got for process in processes] == [["terminate"], ["terminate"]]
    assert str(stopped.value) == (
        f"Stopped by {number.name}. The state is saved in last.ckpt; "
        "go on with the same command and --checkpoint last.ckpt"
    )


def test_a_second_interrupt_kills():
    process = Process()
    with pytest.raises(SystemExit) as stopped:
        supervise(trainer_with(process), signal.SIGINT, signal.SIGINT)
    assert stopped.value.code == 130
    assert not isinstance(stopped.value, TrainingStopped)
    assert process.got == ["terminate", "kill"]


class SlowTrainer(SimpleNamespace):
    """Stands for a trainer that gets signals while it saves."""

    def save_checkpoint(self, path: Path) -> None:
        for number in self.signals:
            os.kill(os.getpid(), number)
        self.saved = path


def stopped_while_saving(first: signal.Signals, *then: signal.Signals) -> tuple[Stopped, bool]:
    """What ends a training that got one signal, and others during the save; and if it saved."""
    trainer = SlowTrainer(
        global_step=0, max_steps=9, world_size=1, should_stop=False, signals=then, saved=None
    )
    before = {number: signal.getsignal(number) for number in STOPPING}
    callback = StopOnSignal(Path("last.ckpt"), steps_per_epoch=100)
    try:
        callback.on_train_start(cast(Any, trainer), cast(Any, None))
        os.kill(os.getpid(), first)
        trainer.global_step = 1
        with pytest.raises(Stopped) as stopped:
            callback.on_train_batch_end(cast(Any, trainer))
    finally:
        restore(before)
    return stopped.value, trainer.saved is not None


@pytest.mark.parametrize("second", [n for n in STOPPING if n is not signal.SIGINT])
@pytest.mark.parametrize("first", STOPPING)
def test_a_second_signal_waits_for_the_save(first, second):
    stopped, saved = stopped_while_saving(first, second, second)
    assert saved
    assert isinstance(stopped, TrainingStopped)
    assert stopped.code == 128 + first


def test_a_second_interrupt_does_not_wait_for_the_save():
    stopped, saved = stopped_while_saving(signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert not saved
    assert "At the second one nothing was saved" in str(stopped)


@pytest.mark.parametrize(("step", "stops"), [(4, True), (8, False)])
def test_what_is_at_its_end_has_nothing_to_go_on_with(step, stops):
    trainer = SlowTrainer(global_step=step, max_steps=8, world_size=1, should_stop=False)
    callback = StopOnSignal(Path("last.ckpt"), steps_per_epoch=4)
    callback.received = signal.SIGTERM
    with pytest.raises(TrainingStopped) if stops else nullcontext():
        callback.on_validation_end(cast(Any, trainer), cast(Any, None))


def test_a_process_that_dies_by_itself_is_no_stop():
    with pytest.raises(ProcessExitedException):
        supervise(trainer_with(), error=exited(-9))


def test_a_process_started_for_training_leaves_signals_to_the_first():
    before = {number: signal.getsignal(number) for number in STOPPING}
    others = [number for number in STOPPING if number is not signal.SIGTERM]
    try:
        arrived = pickle.loads(pickle.dumps(StopOnSignal(Path("last"), steps_per_epoch=4)))
        arrived.on_train_start(SimpleNamespace(global_step=0), None)
        assert {signal.getsignal(number) for number in others} == {signal.SIG_IGN}
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None)
        arrived.on_train_end()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        restore(before)
