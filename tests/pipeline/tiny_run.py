"""The command line, given to a run with a tiny network in the folder that tests are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from main import main

from connectomics.pipeline.by_block import labelling


class TinyRun:
    """Runs modes, and knows where their results go.

    Args:
        capsys: Of the test.
        experiment: The name of the run's experiment; that of the fixture `trained` unless given.

    Attributes:
        run: The folder of the run.
        results: That of its volume.
        begun: Where what is not whole yet lies.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str], experiment: str = "tiny") -> None:
        (self.run,) = Path().glob(f"outputs/{experiment}/*")
        self.capsys = capsys
        self.results = self.run / "results" / "vol"
        self.begun = self.results / "blocks"

    def arguments(self, mode: str) -> list[str]:
        return ["--config", "my.yaml", "--mode", mode, "--checkpoint", str(self.run)]

    def __call__(self, mode: str, *overrides: str, code: int = 0) -> str:
        """Give a command, which has to end with a status; what it prints."""
        self.capsys.readouterr()
        status = main([*self.arguments(mode), *overrides])
        out, err = self.capsys.readouterr()
        assert status == code, out + err
        assert "Traceback" not in err
        return out + err


@contextmanager
def interrupted(step: str, number: int) -> Iterator[None]:
    """Within it, a decoding is interrupted when it comes to a block of a pass, counted from 1."""
    call, did = labelling.RunTask.__call__, []

    def stops(self, task):
        did.append(self.step)
        if did.count(step) == number:
            raise KeyboardInterrupt
        return call(self, task)

    with patch.object(labelling.RunTask, "__call__", stops):
        yield
