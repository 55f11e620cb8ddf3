"""The host's network: its interfaces, changes to them, and the addresses we assign.

Depends on neither the cloud nor a Kubernetes API, and never reconfigures the host's own interfaces.
"""
