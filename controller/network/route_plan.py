"""Finds drift in a runtime's routes and plans the changes that repair it: the default route, and routes of leases.

Pure, as link_plan.py. A route of a lease is known by its protocol number, so that those of a program stay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network

from controller.network.address_changes import DeleteDefaultRoute, DeleteRoute, SetDefaultRoute, SetRoute
from controller.network.desired_interface import DesiredInterface
from controller.network.link_changes import Change
from controller.network.routes import LinkRoute, Route
from controller.network.snapshot import Snapshot


def faults(snapshot: Snapshot, wanted: Sequence[DesiredInterface], found: Collection[str]) -> dict[str, str]:
    """Return the drift by name of the link, for links that have no fault in ``found``."""
    routes, named = _routes(snapshot, wanted), {}
    for link in wanted:
        if (
            link.name not in found
            and not link.pending
            and _over(link.name, routes) != _over(link.name, snapshot.routes)
        ):
            named[link.name] = f"{link.name} does not have the routes of its lease"
    return named if _default_pends(snapshot, wanted) else named | _default_fault(snapshot, wanted, {*found, *named})


def default_route(wanted: Sequence[DesiredInterface]) -> tuple[str, str] | None:
    """Return gateway and link of the only default route: those of the first link with a gateway."""
    return next(((link.gateway, link.name) for link in wanted if link.gateway), None)


def removals(snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> list[Change]:
    """Return the changes that remove other default routes, such as the engine's, and former routes of leases."""
    present = [link for link in wanted if snapshot.by_mac(link.mac_address)]
    settled, routes = {link.name for link in present if not link.pending}, _routes(snapshot, present)
    former = [each for each in snapshot.routes if each.link in settled and each not in routes]
    default = default_route(present)
    others = [] if _default_pends(snapshot, wanted) else [each for each in snapshot.default_routes if each != default]
    return [
        *(DeleteRoute(link, route) for route, link in former),
        *(DeleteDefaultRoute(link, gateway) for gateway, link in others),
    ]


def additions(snapshot: Snapshot, wanted: Sequence[DesiredInterface], *, changed: bool) -> list[Change]:
    """Return the changes that set the routes; all of them if a link was ``changed``.

    The kernel drops a route with its address or when its link goes down.
    """
    present = {link.name: link for link in wanted if snapshot.by_mac(link.mac_address)}
    changes: list[Change] = [
        SetRoute(link, route, on_link=route.gateway is not None and not present[link].reaches(route.gateway))
        for route, link in _routes(snapshot, list(present.values()))
        if changed or LinkRoute(route, link) not in snapshot.routes
    ]
    default = default_route(list(present.values()))
    if default and not _default_pends(snapshot, wanted) and (changed or default not in snapshot.default_routes):
        gateway, link = default
        changes.append(SetDefaultRoute(link, gateway, on_link=not present[link].reaches(IPv4Address(gateway))))
    return changes


def _routes(snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> list[LinkRoute]:
    """Return the routes of all leases; to one destination, that of the first link."""
    found: dict[IPv4Network, LinkRoute] = {}
    for link in wanted:
        for route in link.routes:
            if not _diverts(route, link, snapshot, wanted):
                found.setdefault(route.destination, LinkRoute(route, link.name))
    return list(found.values())


def _diverts(route: Route, link: DesiredInterface, snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> bool:
    """Return whether it leads into a network that another link is on, or replaces that of its own link.

    A machine on the LAN that acts as a DHCP server must not get what the runtime sends to the host or to another LAN.
    """
    own = snapshot.by_mac(link.mac_address)
    others = [address.network for each in snapshot.links if each is not own for address in each.addresses]
    others += [each.address.network for each in wanted if each is not link and each.address]
    return (link.address is not None and route.destination == link.address.network) or any(
        route.destination.subnet_of(network) for network in others
    )


def _over(link: str, routes: Collection[LinkRoute]) -> set[Route]:
    return {each.route for each in routes if each.link == link}


def _default_fault(snapshot: Snapshot, wanted: Sequence[DesiredInterface], found: Collection[str]) -> dict[str, str]:
    route = default_route(wanted)
    if route and route[1] not in found and snapshot.default_routes != (route,):
        return {route[1]: f"the default route does not use the gateway {route[0]}"}
    # Engines before 25 add a default route over the internal network.
    if wanted and route is None and snapshot.default_routes and wanted[0].name not in found:
        return {wanted[0].name: "there is a default route, but no gateway"}
    return {}


def _default_pends(snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> bool:
    """Return whether the default route goes over a link whose gateway is still pending."""
    pending = {link.mac_address for link in wanted if link.pending}
    names = {link.name for link in snapshot.links if link.mac_address in pending}
    return any(link in names for _, link in snapshot.default_routes)
