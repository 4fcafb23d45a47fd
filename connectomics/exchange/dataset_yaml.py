"""`dataset.yaml` beside the data: whose they are, where they come from, and what was made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

import connectomics
from connectomics.errors import DataError
from connectomics.exchange.records import ANOTHER_FOLDER, Account, Dataset
from connectomics.files import atomic_path, writing_to

RECORD = "dataset.yaml"


def read_record(to: Path) -> dict[str, Any]:
    """What an earlier command wrote into a folder; nothing where there was none.

    Raises:
        DataError: It cannot be read.
    """
    try:
        found = yaml.safe_load((to / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = f"cannot be read: {type(error).__name__}."
        raise DataError(str(to / RECORD), problem, "Move it away.") from error
    return found if isinstance(found, dict) else {}


def write_acceptance(to: Path, dataset: Dataset) -> None:
    """Note that the licence was accepted just now, before there is anything else to say."""
    accepted = datetime.now().astimezone().isoformat(timespec="seconds")
    _write_yaml(to / RECORD, {**_facts(dataset), "accepted": accepted})


def write_record(
    to: Path,
    dataset: Dataset,
    record: Mapping[str, Any],
    sums: list[dict[str, Any]],
    account: Account,
) -> None:
    """Say beside the data what they are; what an earlier command said of other files stays."""
    earlier = read_record(to)
    before = record.get("sources") if isinstance(record.get("sources"), list) else []
    made = record.get("made") if isinstance(record.get("made"), dict) else {}
    content = {
        **_facts(dataset),
        "accepted": earlier.get("accepted"),
        "sources": [*(before or []), *sums],
        "made": {**(made or {}), **account.made},
        "differs": account.differs,
        "overrides": account.overrides,
        "connectomics": connectomics.__version__,
    }
    _write_yaml(to / RECORD, content)


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    with writing_to(path, ANOTHER_FOLDER):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
        temporary.write_text(text, encoding="utf-8")


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "licence": dataset.licence,
        "cite": dataset.citation,
        "homepage": dataset.homepage,
    }
