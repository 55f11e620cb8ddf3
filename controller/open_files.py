"""The limit of open files of this process: connections, leases, engine calls and running containers take some each."""

from __future__ import annotations

import resource

ENOUGH = 65_536  # several times what all limits on connections and runtimes add up to


def limit() -> int:
    """Return how many files this process may open, up to ENOUGH, once it has raised its limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)


def raise_limit() -> None:
    """Raise the soft limit, which is usually 1024, as far as the hard one allows. It is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit(), hard))
