"""What can be wrong with an expression or its evaluation."""

from __future__ import annotations


class ExpressionError(ValueError):
    """The expression cannot be compiled."""


class EvaluationError(ValueError):
    """The evaluation has no result. ``&&``, ``||``, ``all`` and ``exists`` may go on without it."""


class CostError(ValueError):
    """The evaluation costs more than it may; nothing goes on."""
