"""Text for a person: shown where it can be, and never a reason for work to stop.

A pipe whose reader has left, a terminal that is gone, a log on a full disk or an encoding without
arrows cost the text, and not the training that writes it.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TextIO

PLAIN = {
    "→": "->",
    "…": "...",
    "³": "3",
    "Å": "A",
    "\N{EN DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
}
"""What stands for a character where the encoding has none for it."""


class LenientFile(io.FileIO):
    """Standard output or error: what cannot be written is dropped, and remembered.

    Attributes:
        failure: Why the first text was lost, if any was.
    """

    failure: OSError | None = None

    def write(self, data: object, /) -> int:
        """Write all of `data`, or what can be."""
        rest = memoryview(data).cast("B")  # type: ignore[arg-type]
        length = len(rest)
        while rest and self.failure is None:
            try:
                rest = rest[super().write(rest) or 0 :]
            except OSError as error:
                self.failure = error
        return length


def prepare_output() -> None:
    """Make standard output and error lenient, for the rest of the process."""
    # The number of a closed one would go to the next file that is opened, and text with it.
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error("plain", _in_plain_characters)
    sys.stdout = _lenient(sys.stdout, 1)
    sys.stderr = _lenient(sys.stderr, 2)


def lost_output() -> OSError | None:
    """Flush standard output, and say why some of it was lost; a reader who left is no loss."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    file = getattr(sys.stdout, "lenient", None)
    failure = file.failure if isinstance(file, LenientFile) else None
    return None if failure is None or failure.errno == errno.EPIPE else failure


class _Text(io.TextIOWrapper):
    """Text over a `LenientFile`."""

    lenient: LenientFile


def _lenient(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None and (not hasattr(stream, "buffer") or stream.fileno() != number):
        return stream  # somebody's own, such as a test's
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stream.flush()  # type: ignore[union-attr]
    file = LenientFile(number, "w", closefd=False)
    text = _Text(
        io.BufferedWriter(file),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="plain",
        line_buffering=number == 2 or file.isatty() or getattr(stream, "write_through", False),
    )
    text.lenient = file
    return text


def _in_plain_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    escaped = (c.encode("ascii", "backslashreplace").decode() for c in text)
    return "".join(PLAIN.get(c) or e for c, e in zip(text, escaped, strict=True)), error.end
