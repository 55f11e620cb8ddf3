"""Reads the common name and the validity of a certificate (X.509 in DER or PEM, RFC 5280), with the standard library.

It verifies nothing: OpenSSL does that when the certificate is used. The package that issues certificates takes 8 MB of
memory, and this is all that the service needs to know of one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

SEQUENCE, SET, OBJECT_ID, EXPLICIT_0 = 0x30, 0x31, 0x06, 0xA0
TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime, GeneralizedTime
STRINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
COMMON_NAME = bytes([0x55, 0x04, 0x03])  # 2.5.4.3
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", re.DOTALL)
PIVOT_YEAR = 2050  # UTCTime has two digits for the years 1950 to 2049 (RFC 5280, 4.1.2.5.1)


class CertificateFacts(NamedTuple):
    """Common names in their order, and the period of validity in UTC."""

    common_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


class Element(NamedTuple):
    """A value of DER with its tag."""

    tag: int
    content: bytes

    def expect(self, tag: int) -> Element:
        """Return the element itself. Raises ValueError if it has another tag."""
        if self.tag != tag:
            raise ValueError(f"a certificate has the tag {tag:#x} here, not {self.tag:#x}")
        return self

    def parts(self) -> list[Element]:
        """Return the elements that the content consists of. Raises ValueError."""
        return list(_elements(self.content))


def read(pem: bytes) -> CertificateFacts:
    """Read the first certificate of a PEM file. Raises ValueError if there is none or it is damaged."""
    found = PEM.search(pem)
    if not found:
        raise ValueError("no PEM certificate")
    (certificate,) = _elements(base64.b64decode(b"".join(found[1].split()), validate=True))
    fields = certificate.expect(SEQUENCE).parts()
    if len(fields) != 3:
        raise ValueError("a certificate has three parts")
    signed = fields[0].expect(SEQUENCE).parts()
    if signed and signed[0].tag == EXPLICIT_0:  # the version, which is left out for version 1
        signed = signed[1:]
    if len(signed) < 6:
        raise ValueError("the certificate is incomplete")
    _, _, _, validity, subject, *_ = signed
    begin, end = (_time(each) for each in validity.expect(SEQUENCE).parts())
    return CertificateFacts(tuple(_common_names(subject.expect(SEQUENCE))), begin, end)


def _common_names(subject: Element) -> Iterator[str]:
    for group in subject.parts():
        for attribute in group.expect(SET).parts():
            kind, value = attribute.expect(SEQUENCE).parts()
            if kind.expect(OBJECT_ID).content == COMMON_NAME:
                if value.tag not in STRINGS:
                    raise ValueError(f"the common name is of an unknown type, {value.tag:#x}")
                yield value.content.decode(STRINGS[value.tag])


def _time(element: Element) -> datetime:
    if element.tag not in TIMES:
        raise ValueError(f"a time is of an unknown type, {element.tag:#x}")
    found = datetime.strptime(element.content.decode("ascii"), TIMES[element.tag]).replace(tzinfo=UTC)
    # strptime takes 50 to 68 for years of this century.
    is_last_century = element.tag == 0x17 and found.year >= PIVOT_YEAR
    return found.replace(year=found.year - 100) if is_last_century else found


def _elements(data: bytes) -> Iterator[Element]:
    position = 0
    while position < len(data):
        tag, length, start = data[position], _byte(data, position + 1), position + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[position + 2 : start], "big")
        position = start + length
        if position > len(data):
            raise ValueError("the certificate is cut off")
        yield Element(tag, data[start:position])


def _byte(data: bytes, position: int) -> int:
    if position >= len(data):
        raise ValueError("the certificate is cut off")
    return data[position]
