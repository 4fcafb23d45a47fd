"""Short sums of settings and of code, by which a result knows what it was made from."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


def digest(*parts: Any) -> str:
    """Sum up plain values in sixteen characters.

    >>> digest({"thres": 0.5}) == digest({"thres": 0.5}) != digest({"thres": 0.4})
    True
    """
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
        places: Seen from the package, such as `decoding` or `data/io`.
    """
    text = hashlib.sha256()
    for place in places:
        found = PACKAGE / place
        for file in sorted(found.rglob("*.py")) if found.is_dir() else [found]:
            text.update(f"{file.relative_to(PACKAGE).as_posix()}\n".encode())
            text.update(_code(file.read_bytes()).encode())
    return text.hexdigest()[:16]


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
