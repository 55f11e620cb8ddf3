"""A local cloud: a Socket.IO server with mutual TLS that enrols agents and sends topics.

It knows agents only through the wire protocol: it shares only the contracts and errors with the controller.
"""
