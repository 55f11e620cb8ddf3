"""Edge controller: cloud topics become Runtime resources, Runtime resources become containers on the plant's LAN.

The packages follow the data flow: cloud -> contract -> Runtime -> plan -> backend -> status.
"""

from datetime import UTC, datetime

__version__ = "0.1.0"
RELEASED = datetime(2026, 11, 27, tzinfo=UTC)  # a clock earlier than this is wrong; changes with the version
