"""How long a client waits before it sends again (RFC 2131 sections 3.1, 4.1 and 4.4.5). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from controller.network.dhcp.leases import Lease

# Half the remaining time as in the RFC, but capped for long leases, so that the server's return is noticed soon.
_SHORTEST_RENEWAL_WAIT, _LONGEST_RENEWAL_WAIT, _LONGEST_REBINDING_WAIT = 10.0, 600.0, 20.0


class Backoff(NamedTuple):
    """Seconds that double with each attempt, from ``first`` up to ``longest``."""

    first: float
    longest: float

    def wait(self, attempts: int, random_number: Callable[[], float]) -> float:
        """Return the seconds with jitter: after a power cut a whole plant asks at once."""
        # The exponent is bounded, because the count grows as long as the server is silent.
        doubled = self.first * (1 << min(attempts - 1, 10))
        return min(doubled, self.longest) * (0.9 + 0.2 * random_number())


REPETITION = Backoff(1.0, 16.0)
# At least ten seconds (section 3.1, step 5). Growing, because each decline takes an address from the server's pool.
AFTER_DECLINE = Backoff(12.0, 192.0)


def until_renewal_again(lease: Lease, now: float, *, by_its_server: bool) -> float:
    """Return the seconds until an unanswered renewal is repeated, with the lease's server or with all of them."""
    rebind = lease.renewed + lease.rebind_after
    end, longest = (rebind, _LONGEST_RENEWAL_WAIT) if by_its_server else (lease.expires, _LONGEST_REBINDING_WAIT)
    # Never beyond T2 or the end of the lease, when something else is due.
    return min(max((end - now) / 2, _SHORTEST_RENEWAL_WAIT), longest, end - now)
