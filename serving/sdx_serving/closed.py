"""Records that take no field they do not know, and their YAML files."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Closed(BaseModel):
    """Frozen, and no field that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def from_yaml(kind: type[Model], path: Path) -> Model:
    """A model from a YAML file. ValueError names the file, each wrong field, its value and what was expected."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']} (given: {e['input']!r:.120})" for e in error.errors()]
        raise ValueError(f"{path}: " + "; ".join(lines)) from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
