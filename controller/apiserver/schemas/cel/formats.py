"""Named formats and the validation of strings against them (Kubernetes: format)."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from controller.apiserver.schemas import identifiers
from controller.apiserver.schemas.cel import times
from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.values import Format, Optional

_LABEL_1035 = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")


def _reads(read: Callable[[str], object], words: str) -> Callable[[str], list[str]]:
    def faults(text: str) -> list[str]:
        try:
            return [] if read(text) else [words]
        except ValueError:
            return [words]

    return faults


def _uri(text: str) -> bool:
    return text.startswith("/") or bool(urlsplit(text).scheme)


def _label_1035(text: str) -> list[str]:
    faults = [f"must be no more than {identifiers.LABEL_BYTES} characters"] if len(text) > 63 else []
    return faults if _LABEL_1035.fullmatch(text) else [*faults, "a DNS-1035 label must start with a letter"]


def _prefix(faults: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """A prefix may end in a dash, because a suffix follows."""
    return lambda text: faults(text[:-1] + "a" if text.endswith("-") and len(text) > 1 else text)


_FAULTS: dict[str, Callable[[str], list[str]]] = {
    # ``is not None``: the empty text is valid base64 of nothing, which is falsy.
    "byte": _reads(lambda text: base64.b64decode(text, validate=True) is not None, "invalid base64"),
    "date": _reads(lambda text: len(text) == 10 and date.fromisoformat(text), "invalid date"),
    "datetime": _reads(times.timestamp_of, "invalid datetime"),
    "dns1035Label": _label_1035,
    "dns1035LabelPrefix": _prefix(_label_1035),
    "dns1123Label": identifiers.dns_label,
    "dns1123LabelPrefix": _prefix(identifiers.dns_label),
    "dns1123Subdomain": identifiers.subdomain,
    "dns1123SubdomainPrefix": _prefix(identifiers.subdomain),
    "labelValue": identifiers.label_value,
    "qualifiedName": identifiers.label_key,
    "uri": _reads(_uri, "invalid URI"),
    "uuid": _reads(uuid.UUID, "does not match the UUID format"),
}


def _named(meter: Meter, name: str) -> Optional:
    del meter
    return Optional((Format(name),)) if name in _FAULTS else Optional()


def _validate(meter: Meter, form: Any, text: str) -> Optional:
    if type(form) is not Format or type(text) is not str:
        raise TypeError
    meter.search(len(text), 60)
    try:
        found = _FAULTS[form.name](text)
    except EvaluationError as error:
        found = [str(error)]
    return Optional((found,)) if found else Optional()


def _constant(name: str) -> Callable[[Meter], Format]:
    return lambda _: Format(name)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "format.named": _named,
    "validate": _validate,
    **{f"format.{name}": _constant(name) for name in _FAULTS},
}
