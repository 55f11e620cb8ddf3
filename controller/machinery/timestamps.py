"""Converts between seconds and the API's timestamps (RFC 3339, UTC). Reads no clock."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Format seconds since the epoch like metav1.Time: ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """Format seconds since the epoch like metav1.MicroTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: str | None) -> float | None:
    """Parse an RFC 3339 time (Docker writes nanoseconds) to seconds since the epoch; None when it is invalid."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    # Without an offset the local time zone of the host would be assumed.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
