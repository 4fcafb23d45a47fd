"""What every section of the config has in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A frozen group of settings that accepts no key it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


def _one_alone(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


CHANNELS_PATTERN = r"^(\d+|\d*:\d*)$"
FILE_NAME_PATTERN = r"^[^/\\]+$"

PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Size3 = tuple[PositiveInt, PositiveInt, PositiveInt]
Resolution = tuple[
    Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]
]
Paths = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_one_alone, json_schema_input_type=str | tuple[str, ...]),
    Field(min_length=1),
]
ChannelText = Annotated[str, Field(pattern=CHANNELS_PATTERN)]
FileName = Annotated[str, Field(pattern=FILE_NAME_PATTERN)]
EncodingName = Literal["auto", "polarity", "semantic", "instance", "binary"]
Channels = Annotated[int, Field(ge=0)] | ChannelText | tuple[int, int]


class NamedSection(Section):
    """A function picked by name, with its keyword arguments."""

    name: str
    kwargs: dict[str, Any] = {}


def _name_alone(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


NameOrSection = Annotated[
    NamedSection, BeforeValidator(_name_alone, json_schema_input_type=str | NamedSection)
]
"""A bare name stands for `{name: ...}`."""
