"""Decoding by block: exactly what decoding the whole gives, in memory bounded by a block.

`passes` gives the passes of tasks that decode a volume (`contract` says how they are run, and by
whom), `decode_blocks` runs them in this process. The last pass is "labels": its parts are
{"labels": (z, y, x)} of each block. The state before it says what there is to know before a label
is written: `label_dtype` and `tables_of`.
"""

from __future__ import annotations

from connectomics.decoding.blockwise.by_block import BlockDecoder, ByBlock
from connectomics.decoding.blockwise.contract import Part, Parts, Pass, Read, State, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.needed import Needed
from connectomics.decoding.blockwise.steps import decode_blocks, label_dtype, needed, passes
from connectomics.decoding.blockwise.tables import tables_of

__all__ = [
    "BlockDecoder",
    "Blocks",
    "ByBlock",
    "Needed",
    "Part",
    "Parts",
    "Pass",
    "Read",
    "State",
    "Task",
    "decode_blocks",
    "label_dtype",
    "needed",
    "passes",
    "tables_of",
]
