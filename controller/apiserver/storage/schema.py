"""The tables of the store: one row per revision, which names the one that it replaced; and the pages of a new file."""

from __future__ import annotations

import sqlite3

# The smallest of SQLite: a write costs whole pages, and a row is smaller than the usual 4 KiB (decision 003).
PAGE = 512
OVERFLOW = PAGE - 4  # bytes of a row that a page of its own takes

# Short columns first: a row that is larger than a page continues in others, which a scan need not read.
TABLES = """
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY,
    previous INTEGER,
    deleted INTEGER NOT NULL,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    object TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS compaction (floor INTEGER NOT NULL);
INSERT INTO compaction SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM compaction);
"""
# Compaction removes the newest row only if it is not above the floor.
LAST = "SELECT max((SELECT coalesce(max(id), 0) FROM revisions), (SELECT floor FROM compaction))"
INSERT = "INSERT INTO revisions (id, previous, deleted, resource, namespace, name, object) VALUES (?, ?, ?, ?, ?, ?, ?)"
# cache_size of 512 KiB: the refill of the reserve and a backup would fill the default of 2 MB with pages that nobody
# reads again.
CACHE = -512
# The newest row of each object up to a revision.
AS_OF = """
SELECT id, resource, namespace, name, deleted, object FROM revisions
WHERE NOT deleted AND id <= :revision AND (:resource = '' OR resource = :resource)
  AND (:namespace = '' OR namespace = :namespace)
  AND id NOT IN (SELECT previous FROM revisions WHERE id <= :revision AND previous IS NOT NULL)
ORDER BY resource, namespace, name
"""
CHANGES = """
SELECT r.id, r.resource, r.namespace, r.name, r.deleted, r.object, o.object
FROM revisions r LEFT JOIN revisions o ON o.id = r.previous
WHERE r.id > :since AND r.id <= :until AND r.resource = :resource ORDER BY r.id
"""
# In the order of revisions, so that a row outlives those that it replaced.
COMPACT = """
DELETE FROM revisions WHERE id IN (
  SELECT id FROM revisions WHERE id <= :floor AND (deleted OR id IN (
    SELECT previous FROM revisions WHERE id <= :floor AND previous IS NOT NULL))
  ORDER BY id LIMIT :batch)
"""


def lay_out(connection: sqlite3.Connection) -> None:
    """Determine the pages of a new file; an existing one keeps its own."""
    connection.execute(f"PRAGMA page_size={PAGE}")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
