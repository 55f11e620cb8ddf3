"""The observation of a container is what the engine reports, and what each facet adds in its turn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller import names
from controller.api import reasons
from controller.api.runtimes import Resources
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.exits import ContainerExits
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.docker.containers.limits import LimitsFacet
from controller.backends.docker.containers.observation import ContainerObserver, Facet
from controller.backends.docker.containers.rights import RightsFacet
from controller.backends.docker.engine.client import Engine
from controller.backends.observation import Observed
from tests.backends.docker.containers.test_create_body import IDENTITY, target

ENGINE = Engine("unix:///nonexistent/docker.sock")
HOST_MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
LABELS = {
    **labels.of_install(IDENTITY.install_id),
    names.NAMESPACE_LABEL: IDENTITY.namespace,
    names.DEVICE_LABEL: IDENTITY.device_id,
}
CONFINED = {"CapDrop": ["MKNOD"]}
NO_REALTIME = {names.REALTIME_LABEL: "unavailable"}


def container(host_config: Mapping[str, Any], changed: Mapping[str, str]) -> Container:
    """A container that exited."""
    state = {"Status": "exited", "ExitCode": 3, "FinishedAt": "2026-01-01T00:00:00Z"}
    document = {"Id": "c1", "Name": "/plc1", "State": state, "Config": {"Labels": {**LABELS, **changed}}}
    return Container({**document, "HostConfig": host_config})


class OneContainer(Containers):
    """An engine with at most one container, and its predecessor, on a host that cannot limit memory."""

    def __init__(self, found: Container | None, previous: Container | None = None) -> None:
        super().__init__(ENGINE)
        self._found = found
        self._previous = previous

    async def named(self, name: str) -> Container | None:
        return self._found

    async def previous(self, identity: Identity) -> Container | None:
        return self._previous

    async def can_limit_memory(self) -> bool:
        return False


class Warns(Facet):
    """Adds a warning that says what it got."""

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        found = ("seen" if container else "absent", str(len(observed.warnings)))
        return replace(observed, warnings=(*observed.warnings, found))


@pytest.mark.parametrize(
    ("found", "state", "warnings"),
    [
        (container({}, {}), "exited", (("seen", "0"), ("seen", "1"))),
        (None, "absent", (("absent", "0"), ("absent", "1"))),
        (container({}, {names.INSTALL_LABEL: "another"}), "absent", (("absent", "0"), ("absent", "1"))),
    ],
    ids=["ours", "none", "foreign"],
)
async def test_facets_add_their_parts_in_order(
    found: Container | None, state: str, warnings: tuple[tuple[str, str], ...]
) -> None:
    observer = ContainerObserver(OneContainer(found), ContainerExits(), (Warns(), Warns()))
    observed = await observer.observe(target(), predecessor=True)
    assert (observed.state, observed.warnings) == (state, warnings)
    assert bool(observed.foreign) is (found is not None and state == "absent")


@pytest.mark.parametrize(("sought", "found"), [(True, "c1"), (False, "")])
async def test_a_predecessor_is_found_if_it_is_sought(sought: bool, found: str) -> None:
    only = container({}, {})
    observer = ContainerObserver(OneContainer(only, only), ContainerExits(), ())
    assert (await observer.observe(target(), predecessor=sought)).predecessor == found


@pytest.mark.parametrize(
    ("host_config", "desired", "limits"),
    [
        ({"NanoCpus": 5 * 10**8, "Memory": 2**26}, {}, Resources(cpu="500m", memory=str(2**26))),
        ({}, {}, Resources()),
        ({"NanoCpus": 10**15, "Memory": HOST_MEMORY}, {}, Resources()),
        ({"Memory": HOST_MEMORY}, {"memory": str(HOST_MEMORY)}, Resources(memory=str(HOST_MEMORY))),
        ({"Memory": 0}, {"memory": "64Mi"}, Resources(memory=str(2**26))),
    ],
    ids=["limits", "no limits", "the whole host is no limit", "unless it is desired", "the host cannot limit memory"],
)
async def test_limits(host_config: dict[str, Any], desired: dict[str, str], limits: Resources) -> None:
    facet = LimitsFacet(ENGINE, OneContainer(None))
    observed = await facet.observe(target(resources=desired), container(host_config, {}), Observed())
    assert observed.limits == limits
    unbounded = [reasons.MEMORY_UNBOUNDED] if desired.get("memory") == "64Mi" else []
    assert [reason for reason, _ in observed.warnings] == unbounded


@pytest.mark.parametrize(
    ("found", "spec", "expected"),
    [
        (container(CONFINED, {}), {}, []),
        (container({}, {}), {}, [reasons.EXCESS_RIGHTS]),
        (container(CONFINED, NO_REALTIME), {}, []),
        (
            container(CONFINED, NO_REALTIME),
            {"realtime": {"enabled": True}},
            [reasons.REALTIME_UNAVAILABLE],
        ),
    ],
    ids=["as created now", "excess rights", "realtime is not desired", "the host refused realtime"],
)
async def test_rights(found: Container, spec: dict[str, Any], expected: list[str]) -> None:
    observed = await RightsFacet().observe(target(**spec), found, Observed())
    assert [reason for reason, _ in observed.warnings] == expected
