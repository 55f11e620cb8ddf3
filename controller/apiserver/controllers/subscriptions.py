"""Follow the store without gaps: resubscribe and start over whenever a subscription loses changes.

The handler is expected to process all objects first and then each change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from controller.apiserver.storage.store import Store, Subscription


async def follow(store: Store, handle: Callable[[Subscription], Awaitable[None]]) -> None:
    """Call ``handle`` with a subscription, and again with a new one whenever it returns; until cancelled."""
    while True:
        subscription = store.subscribe()
        try:
            await handle(subscription)
        finally:
            store.unsubscribe(subscription)
