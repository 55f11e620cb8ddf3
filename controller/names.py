"""Identifiers that are part of the API: group, labels, annotations, finalizer, condition types.

They are stored in objects on disk and in containers that outlive an upgrade, so none may ever be renamed.
This module contains names only: no logic, no imports of ours.
"""

GROUP = "getedge.me"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "edge"

FIELD_MANAGER = "edge-controller"
FINALIZER = f"{GROUP}/runtime-cleanup"

# Labels on Runtimes and RuntimeCommands.
ORIGIN_LABEL = f"{GROUP}/origin"
ORIGIN_CLOUD = "cloud"

# On Runtimes last written by a cloud command: "<topic> <name of the RuntimeCommand>".
REQUESTED_BY = f"{GROUP}/requested-by"

# On a Runtime that owns the container of its deviceId: its own uid.
CLAIM = f"{GROUP}/claim"

# Leases in the controller's namespace: the leader's, and one that each node renews.
LEADER_LEASE = "edge-controller"
LEASE_LABEL = f"{GROUP}/lease"
NODE_LEASE = "node"

# Annotation of an EdgeNode: a digest of the key with which the leader queries the node (nodes/cluster/leader_key.py).
LEADER_KEY = f"{GROUP}/leader-key"

# Audience of the tokens presented to a node of 0.1 (TokenRequest: spec.audiences).
NODE_AUDIENCE = f"node.{GROUP}"

# Labels on every container, network and volume that we create.
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGED_VALUE = "edge-controller"
INSTALL_LABEL = f"{GROUP}/install-id"
NAMESPACE_LABEL = f"{GROUP}/runtime-namespace"
NAME_LABEL = f"{GROUP}/runtime-name"
DEVICE_LABEL = f"{GROUP}/device-id"
UID_LABEL = f"{GROUP}/runtime-uid"
ROLE_LABEL = f"{GROUP}/role"  # on networks: "internal" or "lan"
SPEC_LABEL = f"{GROUP}/spec"  # on containers: the spec they were created from, as canonical JSON

MAC_LABEL = f"{GROUP}/mac-addresses"  # on containers: interface name -> MAC address, as JSON
IMAGE_LABEL = f"{GROUP}/image"  # on containers: the pinned image they were created from
IMAGE_SOURCE_LABEL = f"{GROUP}/image-source"  # on containers: the reference that the pin was resolved from
PREVIOUS_IMAGE_LABEL = f"{GROUP}/previous-image"  # on containers: the pin of the container they replaced
PULLED_LABEL = f"{GROUP}/image-pulled"  # on containers: "true" if we pulled their image and may remove it
REALTIME_LABEL = f"{GROUP}/realtime"  # on containers: "unavailable" if created without the desired realtime settings

# On a StatefulSet while its pod is being replaced: uid and ControllerRevision of the previous pod.
PREDECESSOR = f"{GROUP}/predecessor"

# Condition types of a Runtime (kstatus: Ready, Reconciling, Stalled) and of an EdgeNode.
READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"
NETWORK_ATTACHED = "NetworkAttached"
DEVICES_ATTACHED = "DevicesAttached"
HEALTHY = "Healthy"
REALTIME_AVAILABLE = "RealtimeAvailable"
IMAGE_ALLOWED = "ImageAllowed"
CONFINED = "Confined"
MEMORY_BOUNDED = "MemoryBounded"
CLOUD_CONNECTED = "CloudConnected"

# The condition type of an EdgeNode, and the reason of an API failure (507) and of an Event.
DISK_FULL = "DiskFull"
