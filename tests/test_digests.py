from __future__ import annotations

import numpy as np

from connectomics import digests
from connectomics.digests import changes, code_digest, digest


def test_a_digest_tells_plain_values_apart():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([12]) != digest(1, 2) != digest(2, 1)
    assert len({digest(x) for x in (0.0, None, "", [], {}, float(np.float32(0.1)))}) == 6


def test_a_step_more_or_less_is_named_alone():
    """Shown whole, two long lists would be cut off before they differ."""
    step = {
        "name": "polarity2instance",
        "kwargs": {"thres": 0.5, "thres_small": 128, "dilate_sz": 5},
    }
    more = [step, {"name": "drop_one_sided"}]
    added = 'steps[1] was not given and is {"name": "drop_one_sided"}'
    assert list(changes({"steps": [step]}, {"steps": more})) == [added]
    gone = 'steps[1] was {"name": "drop_one_sided"} and is not given'
    assert list(changes({"steps": more}, {"steps": [step]})) == [gone]
    assert list(changes({"size": [1, 2]}, {"size": []})) == ["size was [1, 2] and is []"]
    first = ['steps[0] was {"name": "drop_one_sided"} and is not given']
    assert list(changes({"steps": more[1:]}, {"steps": []})) == first
    volumes = [{"data": [["val", digest(number)]]} for number in (1, 2)]
    assert list(changes(*volumes)) == ["data changed"]


def test_the_digest_of_code_follows_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "PACKAGE", tmp_path)
    (tmp_path / "room" / "inner").mkdir(parents=True)
    file = tmp_path / "room" / "inner" / "half.py"

    def sum_of(source: str, *places: str) -> str:
        file.write_text(source)
        code_digest.cache_clear()
        return code_digest(*places)

    try:
        first = sum_of("def half(x):\n    return x / 2\n", "room")
        said = '"""Room."""\n\ndef half(x):\n    """Halve."""\n    return x / 2  # as ever\n'
        assert sum_of(said, "room") == first
        assert sum_of("def half(x):\n    return x * 2\n", "room") != first
        assert sum_of(said, "room/inner/half.py") == first
    finally:
        code_digest.cache_clear()
