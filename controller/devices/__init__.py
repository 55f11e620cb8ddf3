"""Serial devices of the host: which there are, when one comes or goes, and their nodes inside a running container.

Knows neither Docker nor a Runtime.
"""
