"""Two operators on one API select their Runtimes on the server, so neither removes the other's finalizers."""

from __future__ import annotations

from controller import names
from controller.api import kinds
from controller.machinery.client import Endpoint
from tests.runtimes.operator.conftest import operating


async def test_each_operator_sees_only_its_own_runtimes(endpoint: Endpoint) -> None:
    async with (
        operating(endpoint, "node-1", claims=False, field_selector="spec.nodeName=node-1") as one,
        operating(endpoint, "node-2", claims=False, field_selector="spec.nodeName=node-2") as two,
    ):
        for node in ("node-1", "node-2"):
            await one.create(f"plc-{node}", nodeName=node, backend="Docker")
            await one.ready(f"plc-{node}")
        assert [identity.device_id for identity in one.backend.containers] == ["plc-node-1"]
        assert [identity.device_id for identity in two.backend.containers] == ["plc-node-2"]

        await one.api.patch(kinds.RUNTIMES, "plc-node-2", "edge", {"spec": {"desiredState": "Stopped"}})
        found = await one.until("plc-node-2", lambda o: o["status"].get("state") == "Stopped")
        assert found["metadata"]["finalizers"] == [names.FINALIZER]

        await one.api.delete(kinds.RUNTIMES, "plc-node-2", "edge")
        await one.until("plc-node-2", lambda o: o == {})
        assert two.backend.containers == {}
        assert len(one.backend.containers) == 1
