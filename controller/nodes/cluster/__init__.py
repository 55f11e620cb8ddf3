"""What there is only in a cluster: one leader, nodes that are heard of or not, where a Runtime goes, asking a node.

Everything goes through the Kubernetes API but the questions to a node, which go to it directly, over TLS.
"""
