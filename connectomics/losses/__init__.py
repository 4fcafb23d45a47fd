"""What the network is told about its mistakes.

Every loss takes logits `(B, C, Z, Y, X)`, a target of the same size and, if some voxels count
less than others or not at all, a `weight (B, 1, Z, Y, X)` or `(B, C, Z, Y, X)`. It gives one
number, computed in float32 whatever the precision of the network, and 0 where nothing counts.
Its target has as many channels as the logits, each 0 to 1; where classes exclude each other, one
channel of class ids.

Torch, which takes seconds to import, is imported when a loss is computed: what a config says of
losses is checked without.
"""
