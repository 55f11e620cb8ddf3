"""One SQLite file: revisions, copies of it, and what to do when it is damaged. Knows no kind."""
