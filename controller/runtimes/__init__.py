"""Reconciles Runtimes: one work queue, one ``reconcile(key)``, one pure plan.

Nothing here knows Docker or kopf: specs come from the API, and backends.base observes and changes containers.
"""
