"""HTTP: the socket, what every request passes, bodies and answers on the wire. Decides nothing about objects."""
