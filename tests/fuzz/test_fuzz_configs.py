"""Configs and overrides that nobody would write on purpose: said to be wrong, or read, and soon.

Seeded: a failure names its case, and `case(seed)` makes it again.
"""

from __future__ import annotations

import copy
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectomics.config.inheritance import TUTORIALS
from connectomics.config.levels import MODES
from connectomics.config.schema import Config
from connectomics.errors import ConfigError
from connectomics.pipeline.components import read_config

LONGEST = 10
"""Seconds that any config may take."""

NUMBERS = [0, -1, 1, 2, 3, 0.5, 1.0, -0.0, 255, 1e-300, 1e300, 5e9, 10**18, 10**30, -(10**9), 1e5]
NUMBERS += [float("inf"), float("-inf"), float("nan"), 0.999999, 1e-9, 4096, 65536, 2**31, 2**63]
TEXTS = ["", " ", "x", "auto", "none", "null", "~", "0:3", "3:0", "-1:2", ":", "1:3", "true", "yes"]
TEXTS += [
    "${a}",
    "${model}",
    "${data.train.image}",
    "${",
    "${oc.env:HOME}",
    "$HOME/x",
    "???",
    "a/b",
]
TEXTS += [
    "C:\\data\\x.h5",
    "..",
    "\t",
    "a\nb",
    "\x00",
    "\ud800",
    "\u00a0x",
    "\u201cx\u201d",
    "20,000",
]
TEXTS += [
    "1e-3",
    "010",
    "1_000",
    "DiceLos",
    "adamw",
    "polarty",
    "sigmod",
    "x" * 5000,
    "[",
    "{a: 1}",
]
OTHERS: list[Any] = [
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"name": None},
    [1, [2, [3]]],
    {"": 1},
]
KEYS = ["", " ", "a.b", "[0]", "_target_", "defaults", "default", "train", "test", "name", "kwargs"]
KEYS += [
    "enabled",
    "image",
    "label",
    "phantom",
    "shape",
    "model",
    "data",
    "über",
    "0",
    "x:y",
    "a/b",
]
KEYS += [*Config.model_fields, "function", "losses", "steps", "metrics", "channels", "activation"]
DEFAULTS: list[Any] = ["syn_em_r50", "syn_cremi", "demo", "syn_vnc_cpu", "my", "_self_", "nope", 5]
DEFAULTS += [None, [], {}, "", "/", "..", "optional nope", {"model/rsunet": "demo"}, "a@b", "${x}"]
DEFAULTS += [{"override model/rsunet": "small"}, {"data/augmentation": None}, {"a": {"b": 1}}]
DEFAULTS += [{"model/rsunet@foo": "demo"}, {"optional model/rsunet": "nope"}, "model/rsunet/demo"]
TEXT_BITS = [
    "\t",
    "\n",
    ":",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!set ",
    "!!binary ",
    "'",
    '"',
]
TEXT_BITS += [
    "#",
    "|",
    ">",
    "? ",
    "<<: *a",
    "---\n",
    "\r\n",
    "\x00",
    "\ufeff",
    "%",
    "@",
    "${",
    "\\",
]
OVERRIDES = [
    "=",
    " = ",
    "~",
    "+",
    "++",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    "'",
    '"',
    "$",
    "\\",
    "@",
]


def tutorials() -> list[Any]:
    return [yaml.safe_load(file.read_text()) for file in sorted(TUTORIALS.glob("*.yaml"))]


TREES = tutorials()
read_config(TUTORIALS / "demo.yaml")  # imports take seconds


def paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested dicts and lists but the top."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


def any_value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(rng.choice([NUMBERS, TEXTS, OTHERS])))


def schema_key(rng: random.Random) -> tuple[str, ...]:
    """A key of the schema, anywhere."""
    tree, path = Config().model_dump(), ()
    while isinstance(tree, dict) and tree:
        key = rng.choice(list(tree))
        path, tree = (*path, key), tree[key]
    return path


def changed_tree(rng: random.Random) -> Any:
    """A tutorial in which a few places hold something else."""
    tree = copy.deepcopy(rng.choice(TREES))
    if rng.random() < 0.5:
        tree = {"defaults": ["syn_em_r50", "_self_"], "data": {}, "model": {}}
    for _ in range(rng.randint(1, 5)):
        found = list(paths(tree))
        *above, key = rng.choice(found) if found else ("data",)
        parent = tree
        for step in above:
            parent = parent[step]
        act = rng.random()
        if act < 0.4:
            parent[key] = any_value(rng)
        elif act < 0.5:
            del parent[key]
        elif act < 0.6 and isinstance(parent, dict):
            parent[rng.choice(KEYS)] = any_value(rng)
        elif act < 0.7 and isinstance(parent, dict):
            parent[str(key)[:-1]] = parent.pop(key)
        elif act < 0.8:
            tree["defaults"] = rng.choices(DEFAULTS, k=rng.randint(0, 4))
        else:
            *above, last = schema_key(rng)
            inner = tree
            for step in above:
                inner[step] = inner[step] if isinstance(inner.get(step), dict) else {}
                inner = inner[step]
            inner[last] = any_value(rng)
    return tree


def changed_text(rng: random.Random) -> bytes:
    """The text of a config with a few pieces put in, taken out, repeated or damaged."""
    text = rng.choice(sorted(TUTORIALS.glob("*.yaml"))).read_text()
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        stop = min(len(text), start + rng.choice([0, 1, 5, 50]))
        piece = rng.choice([rng.choice(TEXT_BITS), text[start:stop] * 2, str(any_value(rng)), ""])
        text = text[:start] + piece + text[stop:]
    content = text.encode("utf-8", "replace")
    if rng.random() < 0.2 and content:
        place = rng.randrange(len(content))
        content = content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
    return content


def any_override(rng: random.Random) -> str:
    key = ".".join(schema_key(rng)[: rng.randint(1, 4)])
    key = rng.choice([key, key, key, rng.choice(KEYS), f"decoding.steps[{rng.randint(0, 9)}].name"])
    key = rng.choice(["", "", "", "", "~", "+", "++", "train.", "default.", "-"]) + key
    text = f"{key}={rng.choice([any_value(rng), rng.choice(TEXTS), '[1,2,3]', '{a: 1}', '1,2'])}"
    for _ in range(rng.choice([0, 0, 1, 2])):
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice(OVERRIDES) + text[place:]
    return text.replace("\x00", "")


def case(seed: int) -> tuple[bytes, list[str], str]:
    """The content of a config, overrides and a mode."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        content = changed_text(rng)
    elif rng.random() < 0.3:
        content = b"defaults: [syn_em_r50, _self_]\n"
    else:
        dumped = yaml.dump(changed_tree(rng), allow_unicode=True, sort_keys=False)
        content = dumped.encode("utf-8", "surrogatepass")
    count = rng.choice([0, 0, 1, 2, 3])
    return content, [any_override(rng) for _ in range(count)], rng.choice(MODES)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Of computing, whatever else the machine does; who sleeps is ended by the test's timeout."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault_of(seed: int, folder: Path) -> str:
    """What went wrong with a case; empty where it was read, or refused as it should be."""
    content, overrides, mode = case(seed)
    file = folder / "my.yaml"
    file.write_bytes(content)
    torch = seed % 5 == 0  # which builds networks
    try:
        with at_most(LONGEST):
            resolved = read_config(file, mode=mode, overrides=overrides, torch=torch)
            resolved.to_yaml()
            resolved.config_to_yaml()
    except ConfigError as error:
        return "; ".join(_poor(fault) for fault in error.faults if _poor(fault))
    except (Exception, RecursionError) as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


def _poor(fault: Any) -> str:
    """What a message lacks: its place and its problem, on less than a screen."""
    text = str(fault)
    if not fault.where.strip() or not fault.problem.strip(". "):
        return f"no place or problem: {text[:200]}"
    if len(text) > 3000 or len(text.splitlines()) > 12:
        return f"too long: {text[:200]}"
    return ""


def run(seeds: range, folder: Path) -> None:
    failed = {seed: fault for seed in seeds if (fault := fault_of(seed, folder))}
    shown = "\n".join(f"case({seed}): {fault}" for seed, fault in list(failed.items())[:20])
    assert not failed, f"{len(failed)} of {len(seeds)} configs:\n{shown}"


def test_some_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run(range(40), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int):
    monkeypatch.chdir(tmp_path)
    run(range(1000 * (part + 1), 1000 * (part + 2)), tmp_path)
