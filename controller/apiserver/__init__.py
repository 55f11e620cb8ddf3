"""The embedded Kubernetes API for hosts without a cluster: requests -> verbs -> store -> watches.

It serves core kinds from a table and any kind that a CustomResourceDefinition adds. Nothing here is specific to our
own kinds.
"""
