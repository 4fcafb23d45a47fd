"""What every section of the config has in common."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from connectomics.geometry import VOXEL_NM
from connectomics.naming import at_home


class Section(BaseModel):
    """A frozen group of settings that accepts no key it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_truths(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `yes` and `true` are 1 to Python, and to nobody who writes them."""
        found = _truth_in(value)
        if found is not None and _takes_numbers_alone(cls.model_fields[str(info.field_name)]):
            problem = f"has to be a number, not {str(found).lower()}."
            raise PydanticCustomError(SLIP, "{problem}", {"problem": problem, "remedy": ""})
        return value


def _truth_in(value: Any) -> bool | None:
    """A bool, or the first one in a list."""
    if isinstance(value, list | tuple):
        return next((one for one in map(_truth_in, value) if one is not None), None)
    return value if isinstance(value, bool) else None


def _takes_numbers_alone(field: FieldInfo) -> bool:
    kinds, waiting = set[Any](), [field.annotation]
    while waiting:
        one = waiting.pop()
        kinds.add(type(one) if isinstance(one, int | float) else one)  # a choice of Literal
        waiting += get_args(one)
    return not kinds.isdisjoint((int, float)) and kinds.isdisjoint((bool, Any))


SLIP = "slip"


def _path_slip(text: str) -> str:
    """Refuse what is no path here, with what was likely meant."""
    problem = remedy = ""
    if variable := re.search(r"\$\w+|\$\{|%\w+%", text):
        problem = f"names the variable {variable[0]}, and a config replaces none."
        remedy = "Write the path itself; on the command line, the shell replaces it."
    elif os.name != "nt" and re.match(r"[A-Za-z]:[\\/]", text):
        problem = f"{text!r} is a path of Windows."
        remedy = "Write it as this machine knows it, such as /data/raw.h5."
    elif os.name != "nt" and "\\" in text:
        problem, remedy = f"{text!r} has backslashes.", "Folders are separated by /."
    elif any(ord(character) < 32 for character in text):
        problem = f"{text!r} holds a line break or tab."
        remedy = "In double quotes, \\n and \\t are such; use single ones."
    elif text != text.strip():
        problem, remedy = f"{text!r} begins or ends with a space.", "Take it out."
    if problem:
        raise PydanticCustomError(SLIP, "{problem}", {"problem": problem, "remedy": remedy})
    return text


PathText = Annotated[str, AfterValidator(_path_slip), AfterValidator(at_home)]
File = Annotated[str, Field(min_length=1), AfterValidator(_path_slip), AfterValidator(at_home)]


def _one_alone(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


CHANNELS_PATTERN = r"^(\d{1,4}|\d{0,4}:\d{0,4})$"
FILE_NAME_PATTERN = r"^[^/\\]*[^/\\.][^/\\]*$"

PositiveInt = Annotated[int, Field(gt=0, le=10**9)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
"""The share of the past in a moving average: with 1 it would never move."""
Size3 = tuple[PositiveInt, PositiveInt, PositiveInt]
Nanometres = Annotated[float, Field(ge=VOXEL_NM[0], le=VOXEL_NM[1])]
Resolution = tuple[Nanometres, Nanometres, Nanometres]
Paths = Annotated[
    tuple[File, ...],
    BeforeValidator(_one_alone, json_schema_input_type=str | tuple[str, ...]),
    Field(min_length=1),
]
ChannelText = Annotated[str, Field(pattern=CHANNELS_PATTERN)]
FileName = Annotated[str, Field(pattern=FILE_NAME_PATTERN, max_length=100)]
EncodingName = Literal["auto", "polarity", "semantic", "instance", "binary"]
Channel = Annotated[int, Field(ge=0, le=9999)]
Channels = Channel | ChannelText | tuple[Channel, Channel]


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
