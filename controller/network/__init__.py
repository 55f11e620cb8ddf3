"""The host's network: its interfaces and their changes, and the addresses that we give.

Nothing here knows the cloud or a Kubernetes API; nothing changes an interface of the host itself.
"""
