"""kopf, and only here: it watches Runtimes, holds their finalizer, and hands keys to the work queue.

Nothing of kopf leaves this package, and this package knows nothing of containers. It runs in a thread and an event
loop of its own; kopf is imported in that thread, so that nothing waits for the import.
"""
