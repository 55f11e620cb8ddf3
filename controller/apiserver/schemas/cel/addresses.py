"""Functions of IP addresses, CIDR ranges and URLs (Kubernetes: ip, cidr, urls)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.values import Address, Network, Url

_LONGEST = 64  # longest address in characters
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address)
_NETWORKS = (ipaddress.IPv4Interface, ipaddress.IPv6Interface)


def _ip(meter: Meter, value: Any) -> Address:
    if isinstance(value, _NETWORKS):
        return value.ip
    _text(meter, value)
    try:
        # Cut before parsing, refused below: the message must not repeat a text of any length.
        found = ipaddress.ip_address(value[:_LONGEST])
    except ValueError as error:
        raise EvaluationError(f"IP Address '{value[:_LONGEST]}' parse error during conversion from string") from error
    # Kubernetes' library refuses both as well: neither is the plain address that it looks like.
    mapped = found.version == 6 and found.ipv4_mapped is not None
    if mapped or "%" in value or len(value) > _LONGEST:
        raise EvaluationError(f"IP Address '{value[:_LONGEST]}' with a zone or mapped from IPv4 is not allowed")
    return found


def _cidr(meter: Meter, value: Any) -> Network:
    _text(meter, value)
    address, slash, length = value.partition("/")
    # Host bits are allowed, as in Go's ParsePrefix; ``masked`` removes them.
    known = _ip(meter, address)
    if not slash or not re.fullmatch(r"0|[1-9][0-9]{0,2}", length) or int(length) > known.max_prefixlen:
        raise EvaluationError(f"network address parse error during conversion from string: {value[:_LONGEST]}")
    return ipaddress.ip_interface(f"{known}/{length}")


def _url(meter: Meter, value: Any) -> Url:
    _text(meter, value)
    try:
        parts = urlsplit(value)
        # urlsplit reads the port only when asked, and raises then.
        _ = parts.port
    except ValueError as error:
        raise EvaluationError(f"URL parse error during conversion from string: {value[:_LONGEST]}") from error
    # urlsplit removes tabs and line breaks silently; Go refuses them.
    odd = any(sign < " " or sign == "\x7f" for sign in value) or " " in parts.netloc
    if odd or not (value.startswith("/") or (_SCHEME.match(value) and parts.scheme)):
        raise EvaluationError(f"URL parse error during conversion from string: {value[:_LONGEST]}")
    return Url(value, parts)


def _text(meter: Meter, value: Any) -> None:
    if type(value) is not str:
        raise TypeError
    meter.traverse(len(value))


def _is(convert: Callable[[Meter, Any], Any]) -> Callable[[Meter, Any], bool]:
    def holds(meter: Meter, value: Any) -> bool:
        try:
            convert(meter, value)
        except EvaluationError:
            return False
        return True

    return holds


def _of(kinds: tuple[type, ...], read: Callable[[Any], Any]) -> Callable[[Meter, Any], Any]:
    def of(meter: Meter, value: Any) -> Any:
        del meter
        if not isinstance(value, kinds):
            raise TypeError
        return read(value)

    return of


def _contains_ip(meter: Meter, network: Any, address: Any) -> bool:
    meter.charge(2)
    if not isinstance(network, _NETWORKS):
        raise TypeError
    return (address if isinstance(address, _ADDRESSES) else _ip(meter, address)) in network.network


def _contains_cidr(meter: Meter, network: Any, other: Any) -> bool:
    meter.charge(3)
    inner = other if isinstance(other, _NETWORKS) else _cidr(meter, other)
    if inner.version != network.version:
        return False
    return bool(inner.network.subnet_of(network.network))


def _is_global_unicast(address: Any) -> bool:
    """As in Go: private addresses are global unicast."""
    broadcast = address == ipaddress.IPv4Address("255.255.255.255")
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or _is_link_local(address) or broadcast
    )


def _is_link_local(address: Any) -> bool:
    return bool(address.is_link_local)


def _is_local_multicast(address: Any) -> bool:
    if address.version == 4:
        return bool(address in ipaddress.IPv4Network("224.0.0.0/24"))
    return bool(address.packed[0] == 0xFF and address.packed[1] & 0x0F == 2)


def _is_canonical(meter: Meter, value: Any) -> bool:
    return bool(str(_ip(meter, value)) == value)


def _hostname(host: str) -> str:
    """A host without its port. Not urlsplit's ``hostname``, which is lower-cased."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


_OF_URLS: dict[str, Callable[[Any], Any]] = {
    "getEscapedPath": lambda url: quote(url.parts.path, safe="/%:@!$&'()*+,;=-._~"),
    "getHost": lambda url: url.parts.netloc.rpartition("@")[2],
    "getHostname": lambda url: _hostname(url.parts.netloc.rpartition("@")[2]),
    "getPort": lambda url: "" if url.parts.port is None else str(url.parts.port),
    # Blank values are values in Go. The bound keeps one text from becoming a million entries.
    "getQuery": lambda url: parse_qs(url.parts.query, keep_blank_values=True, max_num_fields=1000),
    "getScheme": lambda url: url.parts.scheme,
}
_OF_ADDRESSES: dict[str, Callable[[Any], Any]] = {
    "family": lambda address: address.version,
    "isGlobalUnicast": _is_global_unicast,
    "isLinkLocalMulticast": _is_local_multicast,
    "isLinkLocalUnicast": _is_link_local,
    "isLoopback": lambda address: address.is_loopback,
    "isUnspecified": lambda address: address.is_unspecified,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cidr": _cidr,
    "containsCIDR": _contains_cidr,
    "containsIP": _contains_ip,
    "ip": _ip,
    "ip.isCanonical": _is_canonical,
    "isCIDR": _is(_cidr),
    "isIP": _is(_ip),
    "isURL": _is(_url),
    "masked": _of(_NETWORKS, lambda network: type(network)(network.network)),
    "prefixLength": _of(_NETWORKS, lambda network: network.network.prefixlen),
    "url": _url,
    **{name: _of((Url,), read) for name, read in _OF_URLS.items()},
    **{name: _of(_ADDRESSES, read) for name, read in _OF_ADDRESSES.items()},
}
