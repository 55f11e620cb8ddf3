"""Edge controller: cloud topics become Runtime resources, Runtime resources become containers on the plant's LAN.

The tree tells the flow: cloud -> contract -> Runtime -> plan -> backend -> status.
"""

__version__ = "0.1.0"
