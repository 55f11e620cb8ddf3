"""The project's kinds as pydantic models, with their CRDs, condition reasons and restart causes.

The CRDs in crds/ are generated from these models. Nothing here performs I/O.
"""
