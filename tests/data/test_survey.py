from __future__ import annotations

import numpy as np

from connectomics.data import survey
from connectomics.data.io import open_volume, save_volume
from connectomics.data.survey import marks_of, survey_labels


def test_labels_are_looked_at_once_until_their_file_changes(tmp_path, monkeypatch):
    looks = []
    look = survey.sample
    monkeypatch.setattr(survey, "sample", lambda one: looks.append(one.source) or look(one))
    path = tmp_path / "label.h5"
    for background, times in ((0, 1), (255, 2)):
        labels = np.full((2, 4, 4), background, np.uint8)
        labels[0, 1] = 7
        path.unlink(missing_ok=True)
        save_volume(path, labels)
        with open_volume(path) as volume:
            assert survey_labels(volume).ids.tolist() == [7]
            for _ in range(2):
                assert marks_of(volume).background == (background or None)
        assert len(looks) == times
