"""DHCP for container interfaces: message -> state machine -> lease, with one client per interface.

Determines an interface's address; link_plan.py and link_reconciler.py put it on the link.
"""
