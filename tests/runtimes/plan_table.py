"""Building blocks of the tests of the plan: specs, observations, and table rows with the expected plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.observation import Observed, ObservedDevice, ObservedImage, ObservedInterface, ObservedNetwork
from controller.runtimes import plan
from controller.runtimes.desired import Desired

LAN = runtimes.Interface(name="lan0", parent_interface="eth0", mode="Static", address="10.0.0.5", subnet="10.0.0.0/24")
SPEC = runtimes.RuntimeSpec(device_id="plc-1", image="registry/plc", version="1", interfaces=(LAN,))
STARTED = "2026-01-01T00:00:00Z"
TOKEN = "2026-02-02T00:00:00Z"

CREATE = ["ResolveImage", "CreateContainer", "StartContainer"]
RUNNING = Observed(
    state="running",
    container_id="c1",
    image=ObservedImage("pin-1", "registry/plc:1"),
    made_from=SPEC,
    uid="uid-1",
    started_at=STARTED,
    network=ObservedNetwork(
        interfaces=(ObservedInterface(name="lan0", parent_interface="eth0", attached=True),), internal_attached=True
    ),
)
DETACHED = (ObservedInterface(name="lan0", parent_interface="eth0"),)
EXITED = replace(RUNNING, state="exited")
ABSENT = Observed()


def seen(before: Observed = RUNNING, **changed: Any) -> Observed:
    """The observation with other values; the fields of a facet's part go by their own names."""
    parts = {}
    for part in ("network", "dedicated", "image"):
        kept = getattr(before, part)
        own = {name: changed.pop(name) for name in list(changed) if name in vars(kept)}
        parts[part] = replace(kept, **own)
    return replace(before, **parts, **changed)


def spec(**changed: Any) -> runtimes.RuntimeSpec:
    return SPEC.model_copy(update=changed)


def desired(of_spec: runtimes.RuntimeSpec = SPEC, *, changed: bool = False, **values: Any) -> Desired:
    """Generation 2 of a Runtime; ``changed``: only generation 1 is applied."""
    image = "pin-1" if of_spec.image_reference == "registry/plc:1" else None
    target = base.Target(base.Identity("i", "edge", "plc-1"), "plc-1", "uid-1", 2, of_spec, image=image)
    known = {"applied_generation": 1 if changed else 2, "image_source": "registry/plc:1"}
    return Desired(target=target, **(known | values))


def steps(made: plan.Plan) -> list[str]:
    return [step.value for step in made.steps]


class Case(NamedTuple):
    """A row: ``then`` are the expected steps, ``outcome`` is the expected kind and reason."""

    name: str
    desired: Desired
    observed: Observed
    then: list[str]
    outcome: tuple[str, str]


PROGRESS = ("waiting", reasons.PROGRESSING)
READY = ("ready", reasons.RUNNING)
STOPPED = ("ready", reasons.STOPPED)
MISSING = ("waiting", reasons.PARENT_MISSING)
NO_PARENT = ("eth0",)
VERSION_2 = spec(version="2")
PINNED_2 = replace(
    desired(VERSION_2, changed=True, image_source="registry/plc:2"),
    target=replace(desired(VERSION_2).target, image="pin-2"),
)
STOP = spec(desired_state="Stopped")
TWO_CPUS = spec(resources=runtimes.Resources(cpu="2"))
ENV = spec(env=(runtimes.EnvVar(name="A", value="1"),))
MOVED = spec(interfaces=(LAN.model_copy(update={"address": "10.0.0.6"}),))
RESTART = spec(restarted_at=TOKEN)
DEDICATED = spec(dedicated_interface="eth1")
PORT = ObservedDevice(
    "line",
    "/dev/ttyUSB0",
    in_order=False,
    detail="the container was made without it",
    awaits=reasons.DEVICES_UNSUPPORTED,
    needs_new_container=True,
)
OUT_OF_ORDER = (ObservedInterface(name="lan0", parent_interface="eth0", attached=True, in_order=False),)


def check(case: Case) -> None:
    """Assert that the plan is the expected one."""
    made = plan.make(case.desired, case.observed)
    assert steps(made) == case.then
    assert (made.outcome.kind, made.outcome.reason) == case.outcome
    assert made.outcome.message
