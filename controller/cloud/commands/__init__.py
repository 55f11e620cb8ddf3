"""Implements the topics: commands change resources, queries are answered.

Uses only the Kubernetes API and the node interface (controller.cloud.node); nothing here accesses Docker.
"""
