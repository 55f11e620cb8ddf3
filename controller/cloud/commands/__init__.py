"""What each topic does: a message becomes a change of a resource, or a question is answered.

Everything goes through the Kubernetes API and the node's small interface; nothing here touches Docker.
"""
