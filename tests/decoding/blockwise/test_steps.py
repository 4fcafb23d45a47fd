"""Which passes decode what `decoding.steps` says."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.config.schema import NamedSection
from connectomics.decoding import DECODERS, Decoder, decode
from connectomics.decoding.blockwise import (
    BlockDecoder,
    ByBlock,
    Pass,
    decode_blocks,
    needed,
    passes,
)
from connectomics.decoding.decoder import Refiner
from connectomics.decoding.steps import REFINERS
from connectomics.errors import ConfigError
from connectomics.geometry import Box


def above(volume: np.ndarray, *, thres: float = 0.5) -> np.ndarray:
    """1 where p exceeds `thres`."""
    return (volume[0] > thres).astype(np.uint8)


class Above(BlockDecoder):
    """`above` by block, in one pass."""

    def passes(self):
        def tasks(state):
            return (self.blocks.task(number) for number in range(len(self.blocks)))

        def count(task, read, parts):
            return {"any": above(read(task.box), **self.settings).max()}

        def highest(state, done):
            return {"highest": max(part["any"] for _, part in done)}

        def paint(task, read, parts):
            return {"labels": above(read(task.box), **self.settings)}

        return [Pass("count", tasks, count, highest), Pass("labels", tasks, paint, highest)]


STEPS = [NamedSection(name="above", kwargs={"thres": 0.3})]
VOLUME = np.random.default_rng(0).random((1, 4, 8, 9), np.float32)


def test_a_decoder_without_passes_is_not_taken_for_another(monkeypatch):
    monkeypatch.setitem(DECODERS, "above", Decoder(above, channels=1, encoding="instance"))
    with pytest.raises(ConfigError, match="above decodes whole volumes, not blocks"):
        passes(STEPS, shape=(4, 8, 8), block_size=(2, 8, 8))


def test_a_record_is_all_that_a_decoder_needs_to_work_by_block(monkeypatch):
    record = Decoder(above, channels=1, encoding="instance", by_block=lambda: ByBlock(Above))
    monkeypatch.setitem(DECODERS, "above", record)
    labels = decode_blocks(VOLUME, STEPS, block_size=(2, 5, 4)).labels
    np.testing.assert_array_equal(labels, decode(VOLUME, STEPS).labels)
    assert labels.any()
    assert not labels.all()
    block = VOLUME[:, :2, :5, :4].copy()
    keeps = needed(STEPS, (4, 8, 9), None)
    assert keeps.clear(block, Box((0, 0, 0), (2, 5, 4))) == block.size  # all is needed
    np.testing.assert_array_equal(block, VOLUME[:, :2, :5, :4])


def test_what_follows_a_decoder_is_not_left_out_by_block(monkeypatch):
    monkeypatch.setitem(REFINERS, "tidied", Refiner(lambda labels: labels, encoding="polarity"))
    steps = [NamedSection(name="polarity2instance"), NamedSection(name="tidied")]
    with pytest.raises(ConfigError, match=r"steps\[1\].name: tidied decodes whole volumes"):
        passes(steps, shape=(4, 8, 8), block_size=(2, 8, 8))
