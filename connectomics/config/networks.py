"""The schema of a config that may name more networks than the schema itself has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, cast

from pydantic import create_model

from connectomics.config.schema import Config, ModelSection
from connectomics.config.schema.base import Section
from connectomics.config.schema.model import ArchSection

Sections = tuple[tuple[str, type[Section]], ...]


def schema_with(networks: Mapping[str, type[Section]]) -> type[Config]:
    """The schema of configs in which `model` has the settings of these networks.

    Args:
        networks: By the name that `model.arch.type` has, and the section beside it.

    >>> class Tiny(Section):
    ...     width: int = 8
    >>> schema_with({"tiny": Tiny})(model={"arch": {"type": "tiny"}}).model.network
    Tiny(width=8)
    """
    if all(name in ModelSection.model_fields for name in networks):
        return Config
    return cast("type[Config]", _schemas(tuple(networks.items()))["Config"])


def model_section_with(networks: Mapping[str, type[Section]]) -> type[ModelSection]:
    """The section `model` of `schema_with`."""
    return cast("type[ModelSection]", schema_with(networks).model_fields["model"].annotation)


@cache
def _schemas(networks: Sections) -> dict[str, type[Section]]:
    known = ArchSection.model_fields["type"].annotation
    names = dict.fromkeys((*known.__args__, *(name for name, _ in networks)))  # pyright: ignore
    arch = _extended(networks, ArchSection, type=(Literal[tuple(names)], "rsunet"))
    sections = {name: (settings, settings()) for name, settings in networks}
    model = _extended(networks, ModelSection, arch=(arch, arch()), **sections)
    config = _extended(networks, Config, model=(model, model()))
    return {one.__name__: one for one in (arch, model, config)}


def _extended(networks: Sections, base: type[Section], **fields: Any) -> type[Section]:
    """A section with more fields, which can be pickled though no module holds it."""
    made = create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)
    state = base.__getstate__

    def reduce(self: Section) -> tuple[Any, ...]:
        return _empty, (networks, base.__name__), state(self)

    made.__reduce__ = reduce
    return made


def _empty(networks: Sections, name: str) -> Section:
    made = _schemas(networks)[name]
    return made.__new__(made)
