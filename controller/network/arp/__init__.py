"""Addresses that two have: asked for before one is taken, listened for while it is used (RFC 5227).

Knows parents, addresses and hardware addresses; what follows from a conflict is decided elsewhere.
"""
