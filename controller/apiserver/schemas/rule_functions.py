"""Functions that Kubernetes adds to CEL (reference: Common Expression Language in Kubernetes), by name.

Methods get their target as first argument. Addresses, URLs and quantities travel as the text they were made from.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import islice, pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from controller.apiserver.schemas import strings

SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal("1e3"),
    "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"), "E": Decimal("1e18"),
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}  # fmt: skip
QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")


MAGNITUDE = 40  # digits before or after the point of a quantity; Kubernetes takes up to 2**63
TEXT_LENGTH = 1 << 20  # of a text that a function makes


def _amount(text: str) -> Decimal:
    amount = _parsed(text)
    if abs(amount.adjusted()) > MAGNITUDE:
        raise ValueError("the quantity is out of range")
    return amount


def _parsed(text: str) -> Decimal:
    found = QUANTITY.fullmatch(text) if len(text) <= 2 * MAGNITUDE else None
    if not found:
        raise ValueError(f"{text[:MAGNITUDE]} is not a quantity")
    suffix = found[2] or ""
    try:
        return (
            Decimal(found[1] + suffix)
            if suffix[:1] in ("e", "E") and suffix[1:]
            else (Decimal(found[1]) * SUFFIXES[suffix])
        )
    except InvalidOperation as error:
        raise ValueError(f"{text} is not a quantity") from error


def _quantity(text: str) -> str:
    _amount(text)
    return text


def _text(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _holds(check: Callable[[str], Any]) -> Callable[[Any], bool]:
    def holds(text: Any) -> bool:
        try:
            check(text)
        except (ValueError, TypeError):
            return False
        return True

    return holds


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _cidr(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if not (parts.scheme or text.startswith("/")):
        raise ValueError(f"{text} is not a URL")
    return text


def _network(text: str) -> Any:
    return ipaddress.ip_network(text, strict=False)


def _index(value: Any, wanted: Any) -> int:
    if isinstance(value, str):
        return value.find(wanted)
    return value.index(wanted) if wanted in value else -1


def _last_index(value: Any, wanted: Any) -> int:
    if isinstance(value, str):
        return value.rfind(wanted)
    return len(value) - 1 - value[::-1].index(wanted) if wanted in value else -1


def _substring(text: str, begin: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= begin <= end <= len(text):
        raise ValueError(f"index out of range: {begin}, {end}")
    return text[begin:end]


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    count = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + count * len(new) > TEXT_LENGTH:
        raise ValueError("the text becomes too long")
    return text.replace(old, new, limit)


def _join(parts: list[str], separator: str = "") -> str:
    if sum(map(len, parts)) + len(parts) * len(separator) > TEXT_LENGTH:
        raise ValueError("the text becomes too long")
    return separator.join(parts)


def _find(text: str, pattern: str) -> str:
    found = _compiled(pattern).search(text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = (match[0] for match in _compiled(pattern).finditer(text))
    return list(found if limit < 0 else islice(found, limit))


def _compiled(pattern: str) -> Any:
    """Raises ValueError."""
    if why := strings.pattern_fault(pattern):
        raise ValueError(f"the pattern does not compile: {why}")
    return strings.compiled(pattern)


def _port(text: str) -> str:
    port = urlsplit(text).port
    return "" if port is None else str(port)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # strings
    "charAt": lambda text, place: _substring(text, place, place + 1) if place < len(text) else "",
    "indexOf": _index,
    "lastIndexOf": _last_index,
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "replace": _replace,
    "split": lambda text, separator, *limit: text.split(separator, *(count - 1 for count in limit)),
    "substring": _substring,
    "trim": lambda text: text.strip(),
    "join": _join,
    "find": _find,
    "findAll": _find_all,
    # lists
    "isSorted": lambda items: all(left <= right for left, right in pairwise(items)),
    "sum": sum,
    "min": min,
    "max": max,
    # addresses and URLs
    "ip": _ip,
    "isIP": _holds(_ip),
    "family": lambda text: ipaddress.ip_address(text).version,
    "isLoopback": lambda text: ipaddress.ip_address(text).is_loopback,
    "isLinkLocalUnicast": lambda text: ipaddress.ip_address(text).is_link_local,
    "isUnspecified": lambda text: ipaddress.ip_address(text).is_unspecified,
    "cidr": _cidr,
    "isCIDR": _holds(_cidr),
    "containsIP": lambda network, address: ipaddress.ip_address(address) in _network(network),
    "containsCIDR": lambda network, inner: _network(inner).subnet_of(_network(network)),
    "prefixLength": lambda network: _network(network).prefixlen,
    "masked": lambda network: str(_network(network)),
    "url": _url,
    "isURL": _holds(_url),
    "getScheme": lambda text: urlsplit(text).scheme,
    "getHost": lambda text: urlsplit(text).netloc.rpartition("@")[2],
    "getHostname": lambda text: urlsplit(text).hostname or "",
    "getPort": _port,
    "getEscapedPath": lambda text: urlsplit(text).path,
    "getQuery": lambda text: parse_qs(urlsplit(text).query),
    # quantities
    "quantity": _quantity,
    "isQuantity": _holds(_amount),
    "isGreaterThan": lambda left, right: _amount(left) > _amount(right),
    "isLessThan": lambda left, right: _amount(left) < _amount(right),
    "compareTo": lambda left, right: (_amount(left) > _amount(right)) - (_amount(left) < _amount(right)),
    "isInteger": lambda text: _amount(text) == int(_amount(text)),
    "asInteger": lambda text: int(_amount(text)),
    "asApproximateFloat": lambda text: float(_amount(text)),
    "sign": lambda text: (_amount(text) > 0) - (_amount(text) < 0),
    "add": lambda left, right: _text(_amount(left) + _amount(str(right))),
    "sub": lambda left, right: _text(_amount(left) - _amount(str(right))),
}
