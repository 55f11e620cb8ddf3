"""A long run of mixed work under faults, judged from outside; ``make soak`` runs it. Not a test."""
