"""Mending: parts of a synapse that one damaged section has cut apart are joined again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from connectomics.decoding.candidates import POST, PRE, Candidates, link_sections
from connectomics.decoding.merging import join_pairs


def join_continuations(candidates: Candidates, *, sections: int, overlap: float) -> Candidates:
    """Join synapses that go on where another ends, pre above pre and post above post.

    Two synapses are one if, between some section of the one and a section of the other with at
    most `sections` lost sections in between, both of their sides overlap by at least `overlap`
    of the smaller cross-section. Synapses that lie beside each other never overlap that much.

    Args:
        candidates: Synapses with sides.
        sections: Sections that may be lost.
        overlap: Share of the smaller cross-section, in (0, 1].
    """
    found = [_continuations(candidates, 1 + lost, overlap) for lost in range(sections + 1)]
    return join_pairs(candidates, np.concatenate(found))


def fill_sections(candidates: Candidates, *, sections: int) -> Candidates:
    """Fill what lies between two voxels of the same side of a synapse, across lost sections.

    Args:
        candidates: Synapses with sides.
        sections: Sections that may be lost. Voxels filled have probability 0 where they were
            not in the list.
    """
    area = candidates.shape[1] * candidates.shape[2]
    index, synapse, side = [], [], []
    for lost in range(1, sections + 1):
        after = link_sections(candidates, 1 + lost)
        here = np.flatnonzero(candidates.labelled & (after >= 0))
        there = after[here]
        same = candidates.synapse[here] == candidates.synapse[there]
        same &= candidates.side[here] == candidates.side[there]
        for k in range(1, lost + 1):
            index.append(candidates.index[here[same]] + k * area)
            synapse.append(candidates.synapse[here[same]])
            side.append(candidates.side[here[same]])
    return _claim(candidates, np.concatenate(index), np.concatenate(synapse), np.concatenate(side))


def _claim(
    candidates: Candidates, index: np.ndarray, synapse: np.ndarray, side: np.ndarray
) -> Candidates:
    """Give voxels that have no side, listed or not, to a synapse; the first claim counts."""
    index, first = np.unique(index, return_index=True)
    synapse, side = synapse[first], side[first]
    place = np.minimum(np.searchsorted(candidates.index, index), candidates.index.size - 1)
    listed = candidates.index[place] == index
    free = listed & ~candidates.labelled[place]
    new_synapse, new_side = candidates.synapse.copy(), candidates.side.copy()
    new_synapse[place[free]], new_side[place[free]] = synapse[free], side[free]
    add = ~listed
    order = np.argsort(np.concatenate([candidates.index, index[add]]), kind="stable")
    nothing = np.zeros(int(add.sum()), np.float32)

    def extended(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.concatenate([old, new.astype(old.dtype)])[order]

    return replace(
        candidates,
        index=extended(candidates.index, index[add]),
        pre=extended(candidates.pre, nothing),
        post=extended(candidates.post, nothing),
        union=extended(candidates.union, nothing),
        inside=extended(candidates.inside, nothing),
        synapse=extended(new_synapse, synapse[add]),
        side=extended(new_side, side[add]),
    )


def _continuations(candidates: Candidates, step: int, overlap: float) -> np.ndarray:
    """(N, 2) pairs of synapses of which the second goes on `step` sections after the first."""
    z = candidates.index // (candidates.shape[1] * candidates.shape[2])
    z -= z.min(initial=candidates.shape[0])
    count, depth = candidates.count, int(z.max(initial=0)) + 1
    chosen = candidates.labelled
    slot = (candidates.synapse.astype(np.int64) * depth + z) * 2 + candidates.side - PRE
    area = np.bincount(slot[chosen], minlength=2 * depth * count)

    after = link_sections(candidates, step)
    here = np.flatnonzero(chosen & (after >= 0))
    there = after[here]
    apart = candidates.synapse[here] != candidates.synapse[there]
    apart &= (candidates.side[here] == candidates.side[there]) & chosen[there]
    here, there = here[apart], there[apart]
    met, shared = np.unique(np.stack([slot[here], slot[there]], axis=1), axis=0, return_counts=True)
    met = met[shared >= overlap * area[met].min(axis=1)]
    # A section of two synapses is met twice if both sides are.
    both, sides = np.unique(met // 2, axis=0, return_counts=True)
    return both[sides == POST] // depth
