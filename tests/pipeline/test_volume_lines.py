"""Which section `--check` draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.pipeline import volume_lines
from connectomics.pipeline.volume_lines import draw_section


def drawn_section(label: np.ndarray, folder: Path, monkeypatch) -> int:
    sections: list[int] = []

    def named(name, z, *args, **kwargs):
        sections.append(z)
        return f"{name}, section {z}"

    monkeypatch.setattr("connectomics.report.figures.section_title", named)
    volume = LabelledVolume("em", MemoryVolume("em", label), MemoryVolume("syn", label))
    assert draw_section(volume, folder, sided=False) == folder / "test.png"
    assert (folder / "test.png").is_file()
    return sections[0]


def test_a_section_with_many_labels_is_drawn_not_the_first_sliver(tmp_path, monkeypatch) -> None:
    label = np.zeros((9, 24, 24), np.uint8)
    label[1, 3, 3], label[4, 2:8, 2:8], label[7, 2:5, 2:5] = 1, 2, 3
    assert drawn_section(label, tmp_path, monkeypatch) == 4


def test_of_few_labels_the_first_are_found_wherever_they_lie(tmp_path, monkeypatch) -> None:
    label = np.zeros((40, 24, 24), np.uint8)
    label[3, 5, 5] = label[30, 5:9, 5] = 1  # neither is among the sections that are looked at
    looked_at = {(2 * n + 1) * 40 // 18 for n in range(volume_lines.LOOKED_AT)}
    assert not {3, 30} & looked_at
    assert drawn_section(label, tmp_path, monkeypatch) == 3
