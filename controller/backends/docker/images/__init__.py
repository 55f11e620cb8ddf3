"""Resolves, pulls and pins images."""
