"""Tests of the whole controller without an engine."""
