"""The pods backend: runtimes as StatefulSets of one pod on a Kubernetes cluster. It talks to the API and nothing else.

It never deletes a pod but for a step that asks for it, and touches only what carries our labels.
"""
