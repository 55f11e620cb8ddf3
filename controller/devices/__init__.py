"""Serial devices of the host: lists them, watches them for changes, and manages their nodes in running containers.

Knows neither Docker nor Runtimes.
"""
