"""DHCP for an interface of a container: message -> machine -> lease, kept by one client for each interface.

Says what address an interface has; putting it on the link is the work of wiring.py and mending.py.
"""
