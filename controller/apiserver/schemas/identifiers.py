"""Validates names, label keys and label values with Kubernetes' own messages. Lengths are in bytes. Pure."""

from __future__ import annotations

import re

# Kubernetes' own spelling of the patterns: its messages quote them.
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
LABEL_BYTES, SUBDOMAIN_BYTES = 63, 253

OF_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character"
)
OF_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
OF_LABEL_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
OF_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
OF_VALUE = f"a valid label must be an empty string or {OF_PART.removeprefix('must ')}"


def size(text: str) -> int:
    """Length in UTF-8 bytes. JSON may contain a lone surrogate: it counts three bytes, as U+FFFD would."""
    return len(text.encode(errors="surrogatepass"))


def subdomain(name: str, unit: str = "characters") -> list[str]:
    """Faults of a DNS subdomain: the name of most objects, or the prefix of a label key."""
    # Kubernetes calls the limit characters in names and bytes in prefixes; its messages differ in nothing else.
    faults = _too_long(name, SUBDOMAIN_BYTES, unit)
    return faults if re.fullmatch(SUBDOMAIN, name) else [*faults, _form(OF_SUBDOMAIN, SUBDOMAIN, "example.com")]


def dns_label(name: str) -> list[str]:
    """Faults of a DNS label, such as the name of a namespace."""
    faults = _too_long(name, LABEL_BYTES, "characters")
    if re.fullmatch(LABEL, name):
        return faults
    if re.fullmatch(SUBDOMAIN, name):
        return [*faults, "must not contain dots"]
    return [*faults, _form(OF_LABEL, LABEL, "my-name", "123-abc")]


def dns_1035_label(name: str) -> list[str]:
    """Faults of a DNS label that starts with a letter, such as a kind in lower case."""
    faults = _too_long(name, LABEL_BYTES, "characters")
    return (
        faults if re.fullmatch(LABEL_1035, name) else [*faults, _form(OF_LABEL_1035, LABEL_1035, "my-name", "abc-123")]
    )


def path_segment(name: str) -> list[str]:
    """Faults of a name that only has to fit into a URL path."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{sign}'" for sign in "/%" if sign in name]


def label_key(key: str) -> list[str]:
    """Faults of the key of a label or annotation, or of a finalizer: a name with an optional domain prefix."""
    # From the right, so that a key with two slashes has one in its prefix and is recognized.
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        form = _form(OF_PART, PART, "MyName", "my.name", "123-abc")
        return [f"a valid label key {form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    faults = []
    if slash:
        faults = [f"prefix part {why}" for why in (subdomain(prefix, "bytes") if prefix else ["must be non-empty"])]
    wrong = _too_long(name, LABEL_BYTES, "bytes") if name else ["must be non-empty"]
    if not re.fullmatch(PART, name):
        wrong.append(_form(OF_PART, PART, "MyName", "my.name", "123-abc"))
    return faults + [f"name part {why}" for why in wrong]


def label_value(value: str) -> list[str]:
    """Faults of a label value."""
    faults = _too_long(value, LABEL_BYTES, "bytes")
    if re.fullmatch(f"({PART})?", value):
        return faults
    return [*faults, _form(OF_VALUE, f"({PART})?", "MyValue", "my_value", "12345")]


def _too_long(text: str, most: int, unit: str) -> list[str]:
    return [f"must be no more than {most} {unit}"] if size(text) > most else []


def _form(words: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{words} (e.g. {shown}regex used for validation is '{pattern}')"
