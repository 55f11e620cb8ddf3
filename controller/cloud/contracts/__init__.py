"""Validates the cloud's messages with pydantic models and reports every fault of an invalid one.

No I/O and no knowledge of what commands do. It imports only pure modules of this project.
"""
