"""Makes the world match the Runtimes: one work queue, one reconcile(runtime), one pure plan.

Nothing here knows Docker or kopf: what stands is seen and changed through backends.base, wishes come from the API.
"""
