"""The API verbs on stored objects: read, write, watch, scale."""
