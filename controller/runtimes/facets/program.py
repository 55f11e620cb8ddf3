"""What the program is created with: variables, volumes, real-time options and rights. No engine can change them later.

They are compared with the spec that the container was made from, parsed by the current model: a default added by a
newer version then compares equal.
"""

from __future__ import annotations

from controller import names
from controller.api import reasons
from controller.api.runtimes import RuntimeSpec
from controller.backends.observation import Observed
from controller.runtimes.desired import Desired
from controller.runtimes.facets.facet import Facet


def replaces(desired: Desired, _observed: Observed, made_from: RuntimeSpec) -> bool:
    """Whether the spec asks for another program than the container was made with."""
    return _created_with(desired.target.spec) != _created_with(made_from)


def _created_with(spec: RuntimeSpec) -> tuple[object, ...]:
    return (
        # By name: another order of a list must not replace a running container.
        {variable.name: (variable.value, variable.value_from) for variable in spec.env},
        {volume.name: (volume.mount_path, volume.read_only) for volume in spec.volumes},
        # The other fields have no effect while it is disabled, so a change of them replaces nothing.
        spec.realtime if spec.realtime.enabled else None,
    )


FACET = Facet(
    spec_fields=frozenset({"env", "volumes", "realtime"}),
    replaces=replaces,
    warnings={
        reasons.REALTIME_UNAVAILABLE: names.REALTIME_AVAILABLE,
        reasons.REALTIME_BY_CAPABILITIES: names.REALTIME_AVAILABLE,
        reasons.EXCESS_RIGHTS: names.CONFINED,
    },
)
