"""The visible parts of Multus in a cluster: its kind, and the status of a pod. Creates no interface.

Source: the Multi-Net specification of the Network Plumbing Working Group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.backends.pods import multus

NAME = "network-attachment-definitions.k8s.cni.cncf.io"
KIND: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME},
    "spec": {
        "group": "k8s.cni.cncf.io",
        "scope": "Namespaced",
        "names": {
            "plural": "network-attachment-definitions",
            "singular": "network-attachment-definition",
            "kind": "NetworkAttachmentDefinition",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"config": {"type": "string"}}}},
                    }
                },
            }
        ],
    },
}


def reported(pod: Mapping[str, Any]) -> str:
    """Return the ``network-status`` of a pod with all requested networks attached."""
    asked = json.loads(pod["metadata"]["annotations"][multus.NETWORKS])
    return json.dumps(
        [
            {
                "name": f"{one['namespace']}/{one['name']}",
                "interface": one["interface"],
                "ips": [ip.partition("/")[0] for ip in one.get("ips", ())],
                "mac": one["mac"],
            }
            for one in asked
        ]
    )
