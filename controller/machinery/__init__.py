"""Generic controller machinery, independent of our kinds: client, models, conditions, events, leases, backoff."""
