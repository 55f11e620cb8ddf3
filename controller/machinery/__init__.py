"""The machinery of a controller, knowing no kind of ours: client, models, conditions, events, leases, backoff."""
