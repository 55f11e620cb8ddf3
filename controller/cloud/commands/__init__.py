"""Implements the topics: commands change resources, queries are answered.

Uses only the Kubernetes API and the node interface (controller.node_api.node); nothing here accesses Docker.
"""
