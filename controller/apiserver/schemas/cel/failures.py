"""Errors of an expression and of its evaluation."""

from __future__ import annotations


class ExpressionError(ValueError):
    """The expression does not compile."""


class EvaluationError(ValueError):
    """The evaluation has no result. ``&&``, ``||``, ``all`` and ``exists`` may still have one without it."""


class CostError(ValueError):
    """The evaluation exceeds its cost limit and is aborted as a whole."""
