"""Following the store without a gap: what looks at everything first, and then at each change, begins anew after a loss.

It knows nothing of what is followed, or why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from controller.apiserver.storage.store import Store, Subscription


async def follow(store: Store, handle: Callable[[Subscription], Awaitable[None]]) -> None:
    """Call ``follow`` with a subscription, and with another one whenever it returns; until cancelled."""
    while True:
        subscription = store.subscribe()
        try:
            await handle(subscription)
        finally:
            store.unsubscribe(subscription)
