"""Structural schemas and CEL rules. Pure."""
