"""Facets of a runtime, one module each; table.py lists them in order."""
