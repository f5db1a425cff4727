"""YAML files read strictly, and settings errors said in one sentence."""

import difflib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from belljar.files import InputError


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in `path`; raise InputError where it is not one, or is not YAML."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise InputError(f"{path}, line {line}: {error.problem}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold a mapping of keys to values, not {type(value).__name__}.")
    return value


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], value: dict[str, Any], source: str) -> Model:
    """Return `value` as `model`; raise InputError with one sentence on the first thing that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{source}: {_sentence(model, error)}") from error


def suggestion(word: str, legal: list[str]) -> str:
    """Return " Did you mean 'x'?" where one of `legal` is close to `word`, else nothing."""
    near = difflib.get_close_matches(word, legal, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _sentence(model: type[BaseModel], error: ValidationError) -> str:
    # An unknown key explains a missing one beside it (a typo makes both), so it is reported first.
    first = sorted(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")[0]
    location = [part for part in first["loc"] if part != "[key]"]
    key = ".".join(map(str, location)) or "the whole file"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        legal = sorted(_fields(model, location[:-1]))
        return f"unknown key {key!r}; legal keys here are {', '.join(legal)}.{suggestion(str(location[-1]), legal)}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing."
    if first["type"] == "value_error":
        return f"{key}: {message}."
    return f"{key} is {first['input']!r}: {message[0].lower()}{message[1:]}."


def _fields(model: type[BaseModel], location: list[Any]) -> list[str]:
    """Return the field names of the model that stands at `location` inside `model`."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[part].annotation
        else:  # an entry of a list or a mapping
            current = get_args(current)[-1]
        current = _plain(current)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _plain(annotation: Any) -> Any:
    """Return the annotation without Annotated[...] and without an alternative of None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation
