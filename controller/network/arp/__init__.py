"""Detects address conflicts: probes an address before it is used and watches it while it is in use (RFC 5227).

Knows parents, addresses and hardware addresses; the consequences of a conflict are decided elsewhere.
"""
