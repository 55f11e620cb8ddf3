"""What only a cluster needs: node Leases and lifecycle, scheduling of Runtimes, and queries to remote nodes.

Everything goes through the Kubernetes API, except queries to a node, which the leader sends to it directly over TLS.
"""
