{{/* Exactly the permissions that each role of the program needs; tests/cluster_e2e/test_rights.py compares them with
     the requests that the program makes. */}}

{{/* The leader: turns the cloud's commands into Runtimes, schedules them, and marks silent nodes. */}}
{{- define "edge.rules.link" -}}
- apiGroups: [getedge.me]
  resources: [runtimes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [getedge.me]
  resources: [runtimes/status, edgenodes/status, runtimecommands/status]
  verbs: [patch]
- apiGroups: [getedge.me]
  resources: [runtimecommands]
  verbs: [get, list, create, delete]
# patch: to publish the digest of its key for a node, in the metadata of the EdgeNode. No node may write that.
- apiGroups: [getedge.me]
  resources: [edgenodes]
  verbs: [get, list, patch]
# Agents of version 0.1 check for this permission, during an upgrade.
- apiGroups: [getedge.me]
  resources: [edgenodes/proxy]
  verbs: [create]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}

{{/* In the installation's namespace: leader election, the Leases of nodes, and the shared configuration. */}}
{{- define "edge.rules.link.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, create, update]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [edge-controller]
  verbs: [get, patch]
{{- end }}

{{/* Runtimes as pods: read in all namespaces, written only in those that edge.rules.pods.namespaced is granted in. */}}
{{- define "edge.rules.pods" -}}
- apiGroups: [getedge.me]
  resources: [runtimes]
  verbs: [get, list, watch, patch]
- apiGroups: [getedge.me]
  resources: [runtimes/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch, create, patch]
- apiGroups: [""]
  resources: [nodes, services]
  verbs: [get]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list]
- apiGroups: [k8s.cni.cncf.io]
  resources: [network-attachment-definitions]
  verbs: [get, list]
{{- end }}

{{/* Granted by namespace, because whoever may create pods can read every Secret of the namespace. */}}
{{- define "edge.rules.pods.namespaced" -}}
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete]
- apiGroups: [""]
  resources: [pods/resize]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create, delete]
- apiGroups: [k8s.cni.cncf.io]
  resources: [network-attachment-definitions]
  verbs: [create, delete]
{{- end }}

{{/* A node: runs its Runtimes and publishes its EdgeNode. */}}
{{- define "edge.rules.node" -}}
- apiGroups: [getedge.me]
  resources: [runtimes]
  verbs: [get, list, watch, patch]
- apiGroups: [getedge.me]
  resources: [runtimes/status, edgenodes/status]
  verbs: [patch]
- apiGroups: [getedge.me]
  resources: [edgenodes]
  verbs: [get, create]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Agents of version 0.1 need both, during an upgrade.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}

{{- define "edge.rules.node.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [edge-controller]
  verbs: [get]
{{- end }}

{{/* In the runtimes' namespaces: our pods on this node, for their metrics, and the Secrets that Runtimes may use. By name,
     because the cloud's client key may be in the same namespace. */}}
{{- define "edge.rules.node.namespaced" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- with .Values.runtimeSecrets }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ toJson . }}
  verbs: [get]
{{- end }}
{{- end }}

{{/* Cleanup after an uninstall: removes the finalizers once the release's pods are gone. */}}
{{- define "edge.rules.cleanup" -}}
- apiGroups: [getedge.me]
  resources: [runtimes]
  verbs: [list, patch{{ if .Values.purge }}, delete{{ end }}]
{{- end }}

{{- define "edge.rules.cleanup.own" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}

{{/* helm test: what the check of the installation reads. */}}
{{- define "edge.rules.test" -}}
- apiGroups: [getedge.me]
  resources: [runtimes, edgenodes]
  verbs: [list]
{{- end }}

{{- define "edge.rules.test.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [edge-controller]
  verbs: [get]
{{- end }}
