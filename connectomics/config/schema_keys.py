"""The keys of the schema, by place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from connectomics.config.dotted import DottedPath, parse_path
from connectomics.config.schema import Config

Schema = type[BaseModel]


def keys_at(path: DottedPath, schema: Schema = Config) -> list[str]:
    """The keys that the section at a path has; none where there is no section.

    >>> keys_at(("data", "dataloader", "reject_sampling"))
    ['size_thres', 'p']
    """
    section: Schema | None = schema
    for key in path:
        if isinstance(key, int):
            continue
        if section is None or key not in section.model_fields:
            return []
        section = _section_in(section.model_fields[key].annotation)
    return list(section.model_fields) if section else []


def has_axes(path: DottedPath, schema: Schema = Config) -> bool:
    """Whether the key at a path holds one number for each of three axes.

    >>> has_axes(("data", "test", "resolution")), has_axes(("data", "test", "z_range"))
    (True, False)
    """
    section: Schema | None = schema
    for key in path[:-1]:
        section = section and _section_in(section.model_fields[str(key)].annotation)
    field = section and section.model_fields.get(str(path[-1]))
    return bool(field) and _is_triple(field.annotation)


def is_key(text: str, schema: Schema = Config) -> bool:
    """Whether a text is the dotted path of a key in a section, or below one.

    >>> is_key("data.train.image"), is_key("tune.space.thres"), is_key("model.ckpt")
    (True, True, False)
    """
    section, *keys = parse_path(text)
    return bool(keys) and keys[0] in keys_at((section,), schema)


def places_of(key: str, schema: Schema = Config) -> list[DottedPath]:
    """All paths of the schema that end in a key.

    >>> places_of("patch_size")
    [('data', 'dataloader', 'patch_size')]
    """
    return [path for path in _all_paths(schema) if path[-1] == key]


@cache
def _all_paths(schema: Schema) -> tuple[DottedPath, ...]:
    return tuple(_walk(schema, ()))


def _walk(section: Schema, path: DottedPath) -> Iterator[DottedPath]:
    for name, field in section.model_fields.items():
        here = (*path, name)
        yield here
        inner = _section_in(field.annotation)
        if inner:
            yield from _walk(inner, (*here, 0) if holds_items(field.annotation) else here)


def holds_items(annotation: Any) -> bool:
    """Whether a field is a list, or may be one."""
    parts = get_args(annotation)
    return get_origin(annotation) is tuple or any(map(holds_items, parts))


def _is_triple(annotation: Any) -> bool:
    parts = get_args(annotation)
    if get_origin(annotation) is tuple:
        return len(parts) == 3 and Ellipsis not in parts
    return any(map(_is_triple, parts))


def _section_in(annotation: Any) -> Schema | None:
    """The section that a field holds, also where it is optional or one of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
