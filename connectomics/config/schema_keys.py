"""The keys of the schema, by place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

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
    """Whether the key or item at a path holds one number for each of three axes.

    >>> has_axes(("data", "test", "resolution")), has_axes(("data", "test", "z_range"))
    (True, False)
    >>> has_axes(("model", "rsunet", "down_factors", 0))
    True
    """
    field, items = _field_at(path, schema)
    return field is not None and _is_triple(_item_of(field.annotation, items))


def usual_at(path: DottedPath, schema: Schema = Config) -> Any:
    """What the key or item at a path is by default; None where it is not given, or there is none.

    >>> usual_at(("data", "dataloader", "patch_size"))
    (18, 256, 256)
    >>> usual_at(("model", "rsunet", "down_factors", 3))
    (1, 2, 2)
    """
    field, items = _field_at(path, schema)
    value = None if field is None else field.get_default(call_default_factory=True)
    for _ in range(items):
        value = value[0] if isinstance(value, tuple) and value else None
    return None if value is PydanticUndefined else value


def _field_at(path: DottedPath, schema: Schema) -> tuple[FieldInfo | None, int]:
    """The field that a path leads to, or into, and how many items deep."""
    names = [key for key in path if isinstance(key, str)]
    section: Schema | None = schema
    for name in names[:-1]:
        field = section.model_fields.get(name) if section else None
        section = _section_in(field.annotation) if field else None
    items = next((n for n, key in enumerate(reversed(path)) if isinstance(key, str)), 0)
    return (section.model_fields.get(names[-1]) if section and names else None), items


def _item_of(annotation: Any, items: int) -> Any:
    """What an item of a list holds, of lists so deep."""
    return _item_of(get_args(annotation)[0], items - 1) if items else annotation


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
