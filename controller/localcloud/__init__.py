"""A cloud of one's own: mutual-TLS Socket.IO server, enrolment of agents, sending topics.

It knows agents only through the wire protocol: it may share the contracts and errors with the controller, nothing else.
"""
