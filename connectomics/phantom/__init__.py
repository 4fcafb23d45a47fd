"""Synthetic serial-section EM with polarity and neuron labels.

Nothing here comes from a microscope. A phantom is a drawing of brain tissue by rule and seed: it
looks enough like EM to exercise every step from training to scores and its ground truth is exact,
but a result on it says nothing about real tissue. Whatever shows it says "synthetic".

>>> from connectomics.phantom import make_phantom
>>> make_phantom((4, 64, 64), seed=3).neurons.shape
(4, 64, 64)
"""

from __future__ import annotations

from .ground_truth import Decoy, Synapse
from .specimen import Phantom, make_phantom

__all__ = ["Decoy", "Phantom", "Synapse", "make_phantom"]
