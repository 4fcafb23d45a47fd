"""What griffe is told of docstrings: an example in one is code, also where no heading says so."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Puts the heading that Google's style has over examples."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each object."""
        if obj.docstring is not None:
            obj.docstring.value = headed(obj.docstring.value)


def headed(docstring: str) -> str:
    r"""Put a heading over the examples of a docstring, and indent them.

    >>> headed("Add.\n\n>>> 1 + 1\n2")
    'Add.\n\nExamples:\n    >>> 1 + 1\n    2'
    """
    found = re.search(r"^>>> ", docstring, re.MULTILINE)
    if not found:
        return docstring
    before, examples = docstring[: found.start()], docstring[found.start() :]
    return f"{before}Examples:\n" + re.sub(r"^(?=.)", "    ", examples, flags=re.MULTILINE)
