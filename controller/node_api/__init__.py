"""What a node answers: the interface that the cloud's commands query, and its form on the wire.

``nodes`` implements it in the same process and over TLS. Nothing here knows Docker, Runtimes or the cloud.
"""
