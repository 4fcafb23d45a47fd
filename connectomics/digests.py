"""Short sums of settings and of code, by which a result knows what it was made from."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent

SUM = re.compile("[0-9a-f]{12,}")
"""A digest, which says nothing to a reader but whether it is another."""


def digest(*parts: Any) -> str:
    """Sum up plain values in sixteen characters.

    >>> digest({"thres": 0.5}) == digest({"thres": 0.5}) != digest({"thres": 0.4})
    True
    """
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two plain values, as deep as it lies, in words; of sums that they do.

    Args:
        before: What a result was made with.
        now: What is asked for.
        name: Of both.

    >>> list(changes({"a": [{"b": [1, 2]}], "c": None}, {"a": [{"b": [1, 3]}], "c": "x"}))
    ['a[0].b was [1, 2] and is [1, 3]', 'c was not given and is x']
    >>> list(changes({"mask": digest(1)}, {"mask": digest(2)}))
    ['mask changed']
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from changes(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif digest(before) == digest(now):
        return
    elif _is_sum(before) or _is_sum(now):
        yield f"{name.split('[')[0]} changed"
    elif _are_nested(before, now):
        pairs = enumerate(zip_longest(before, now))
        found = [text for i, pair in pairs for text in changes(*pair, f"{name}[{i}]")]
        yield from dict.fromkeys(found)
    else:
        yield f"{name} was {_short(before)} and is {_short(now)}"


def _are_nested(*values: Any) -> bool:
    """Whether they are lists of more than plain values; those, such as sizes, are shown whole."""

    def is_plain(value: Any) -> bool:
        return not (isinstance(value, list | tuple | Mapping) or _is_sum(value))

    listed = all(isinstance(value, list | tuple) for value in values)
    return listed and not all(map(is_plain, chain(*values)))


def _is_sum(value: Any) -> bool:
    return isinstance(value, str) and bool(SUM.fullmatch(value))


def _short(value: Any, most: int = 60) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= most else f"{text[:most]} …"


def bytes_digest(text: bytes) -> str:
    """Sum up bytes, as `file_digest` those of a file."""
    return hashlib.sha256(text).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Sum up the bytes of a file; empty where it is not there."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@cache
def code_digest(*places: str) -> str:
    """Sum up the code in folders or files of this package, whatever its comments and docstrings.

    In a checkout the code changes without the version of the package.

    Args:
        places: Seen from the package, such as `decoding` or `data/io`. Of a folder its Python files
            count, and what lies in its `assets`.
    """
    text = hashlib.sha256()
    for place in places:
        found = PACKAGE / place
        files = [*found.rglob("*.py"), *found.rglob("assets/*")] if found.is_dir() else [found]
        for file in sorted(files):
            source = file.read_bytes()
            text.update(f"{file.relative_to(PACKAGE).as_posix()}\n".encode())
            text.update(_code_sum(source) if file.suffix == ".py" else source)
    return text.hexdigest()[:16]


@cache
def _code_sum(source: bytes) -> bytes:
    """Sum up what a file does; many files are part of several sums."""
    return hashlib.sha256(_code(source).encode()).digest()


def _code(source: bytes) -> str:
    r"""What a file does, as text.

    >>> _code(b"def f():\n  'Half.'\n  return 0.5 # p") == _code(b"def f(): return 0.5")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # pyright: ignore
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
