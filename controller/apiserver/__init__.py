"""The embedded Kubernetes API, for hosts without a cluster: requests -> verbs -> store, watches back.

It serves core kinds from a table and any kind that a CustomResourceDefinition adds; it knows none of ours.
"""
