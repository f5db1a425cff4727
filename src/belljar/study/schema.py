"""What every settings model is made of."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z0-9][a-z0-9.-]*$"
Name = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Dtype = Literal["float32", "bfloat16", "float16"]  # of a model's weights where nothing is trained


class Settings(BaseModel):
    """A frozen settings object that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HubSource(Settings):
    """A repository on the Hugging Face hub, pinned to a revision."""

    repo: str
    revision: str


def repeated(values: Iterable[Any]) -> list[Any]:
    """Return the values that stand more than once, each once, in order."""
    return [value for value, times in Counter(values).items() if times > 1]


def no_repeats(values: list[Any]) -> list[Any]:
    """Return the values; raises ValueError where one stands twice."""
    if found := repeated(values):
        raise ValueError(f"{found[0]!r} stands twice")
    return values


def exactly_one(settings: Settings, names: tuple[str, ...]) -> None:
    """Raise ValueError unless exactly one of the fields `names` is given."""
    given = [name for name in names if getattr(settings, name)]
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(names)} must be given, not {len(given)}")
