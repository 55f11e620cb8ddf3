"""The pods backend: runs runtimes as StatefulSets of one pod, and talks only to the Kubernetes API.

It deletes a pod only for a step that requires it, and touches only objects with our labels.
"""
