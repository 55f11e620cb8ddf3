"""The SQLite database: revisions, backups, and recovery from damage. Knows no kinds."""
