"""The kopf operator: watches Runtimes, manages their finalizer, and adds keys to the work queue.

Only this package uses kopf, and it knows nothing of containers. kopf runs in its own thread and event loop, and is
imported there so that nothing else waits for the import.
"""
