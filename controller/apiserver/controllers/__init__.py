"""The API server's own control loops: defaults, garbage collection, expiry, certificates, backups."""
