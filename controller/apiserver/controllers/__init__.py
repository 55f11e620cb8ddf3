"""What the API does by itself: seeds, garbage collection, expiry, certificates, backups."""
