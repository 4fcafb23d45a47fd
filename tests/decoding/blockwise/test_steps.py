"""Which passes decode what `decoding.steps` says."""

import pytest

from connectomics.config.schema import NamedSection
from connectomics.decoding import DECODERS, Decoder
from connectomics.decoding.blockwise import passes
from connectomics.errors import ConfigError


def test_a_decoder_without_passes_is_not_taken_for_another(monkeypatch):
    mine = Decoder(lambda volume: volume[0], channels=3, encoding="instance")
    monkeypatch.setitem(DECODERS, "mine", mine)
    with pytest.raises(ConfigError, match="mine decodes whole volumes, not blocks"):
        passes([NamedSection(name="mine")], shape=(4, 8, 8), block_size=(2, 8, 8))
