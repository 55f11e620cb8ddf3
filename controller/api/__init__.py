"""Our kinds as pydantic models, and the one client of the Kubernetes API.

The CRDs in crds/ are generated from these models. Nothing here may import anything of ours but names and errors.
"""
