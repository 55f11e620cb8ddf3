"""The JSON schemas of the charts' values describe every value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HELM = Path(__file__).parents[2] / "helm"
CHARTS = pytest.mark.parametrize("chart", ["edge-controller", "runtimes"])


def properties(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of a schema, and of the schemas within, with its path."""
    for name, node in schema.get("properties", {}).items():
        yield f"{path}.{name}", node
        yield from properties(f"{path}.{name}", node)
        yield from properties(f"{path}.{name}[]", node.get("items", {}))


def leaves(path: str, value: Any, described: set[str]) -> Iterator[str]:
    """Yield the paths of values, down to where the schema names no properties."""
    has_properties = any(each.startswith(f"{path}.") for each in described)
    if isinstance(value, dict) and (has_properties or not path):
        for name, part in value.items():
            yield from leaves(f"{path}.{name}", part, described)
    else:
        yield path


@CHARTS
def test_every_property_has_a_description(chart: str) -> None:
    schema = json.loads((HELM / chart / "values.schema.json").read_text())
    definitions = [each for name, node in schema["definitions"].items() for each in properties(name, node)]
    found = [*properties("", schema), *definitions]
    assert found
    assert [path for path, node in found if not node.get("description", "").endswith(".")] == []


@CHARTS
def test_every_value_is_in_the_schema(chart: str) -> None:
    schema = json.loads((HELM / chart / "values.schema.json").read_text())
    described = {path for path, _ in properties("", schema)}
    values = yaml.safe_load((HELM / chart / "values.yaml").read_text())
    assert set(leaves("", values, described)) <= described
