"""What the text of a CEL rule tells about its cost: comprehensions, and what makes larger values of those it is given.

Pure. The evaluator shows no syntax tree, so brackets are counted; a rule that compiles has them in pairs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from controller.apiserver.schemas.rule_functions import FUNCTIONS

_TEXT = re.compile(
    r"""[bB]?[rR][bB]?(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"]*"|'[^']*')"""
    r"""|\"{3}(?:[^\\]|\\[\s\S])*?\"{3}|'{3}(?:[^\\]|\\[\s\S])*?'{3}|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
    r"""|(//[^\n]*)"""
)
_PART = re.compile(
    r"\.\s*(all|exists|exists_one|existsOne|filter|map|sortBy|transform\w+)\s*\(|\b(?:string|bytes)\s*\(|[][(){},+]"
)
_CALL = re.compile(rf"\b(?:{'|'.join(FUNCTIONS)})\s*\(")
_CONVERSIONS = ("string", "bytes")
_CHOOSING = ("all", "exists", "exists_one", "existsOne", "filter")  # they make no values


class Shape(NamedTuple):
    """What a rule may do with what it is given."""

    depth: int = 0  # comprehensions within each other
    joins: int = 0  # of texts and lists, and conversions of texts
    listed: int = 0  # items of list literals
    maps: int = 0
    growth: int = 1  # how many times its source a value that went through all maps may be
    calls: bool = False  # of functions that are not the evaluator's own


@lru_cache(256)
def shape_of(rule: str) -> Shape:
    """The shape of a rule that compiles."""
    bare = _TEXT.sub(lambda found: " " if found[1] else "''", rule)
    shape, opened = Shape(calls=bool(_CALL.search(bare))), list[_Bracket]()
    for found in _PART.finditer(bare):
        shape = _with(shape, opened, found[1] or found[0])
    return shape


@dataclass
class _Bracket:
    """An opened bracket."""

    kind: str
    comprehends: bool
    put: int = 0  # values that are put together within it, besides the first


def _with(shape: Shape, opened: list[_Bracket], part: str) -> Shape:
    """The shape with one more part of the rule; ``opened`` follows it."""
    joins = part == "+" or part.startswith(_CONVERSIONS)
    lists = part == "," and bool(opened) and opened[-1].kind in ("[", "{")
    for bracket in opened:
        bracket.put += joins or lists
    if part in (")", "]", "}") and opened:
        return _closed(shape, opened.pop())
    if part not in (",", "+", ")", "]", "}"):
        opened.append(_Bracket(part, comprehends=part[0].isalpha() and not joins))
    depth = max(shape.depth, sum(bracket.comprehends for bracket in opened))
    listed = max(shape.listed, 1) + 1 if lists else shape.listed
    return shape._replace(joins=shape.joins + joins, listed=listed, depth=depth)


def _closed(shape: Shape, bracket: _Bracket) -> Shape:
    if not bracket.comprehends or bracket.kind in _CHOOSING:
        return shape
    return shape._replace(maps=shape.maps + 1, growth=shape.growth * (1 + bracket.put))
