{{/* What each role of the program does with the API, and nothing else; tests/cluster_e2e/test_rights.py holds it against
     what the program asks for. */}}

{{/* The link, and whoever leads: the cloud's commands become Runtimes, each gets its node, silent nodes are told. */}}
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
- apiGroups: [getedge.me]
  resources: [edgenodes]
  verbs: [get, list]
# To ask the agent of a node, which looks for this right.
- apiGroups: [getedge.me]
  resources: [edgenodes/proxy]
  verbs: [create]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}

{{/* In the namespace of the installation: who leads, which nodes are heard of, the facts that all processes share. */}}
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

{{/* Runtimes as pods: read everywhere, written only where edge.rules.pods.place is given. */}}
{{- define "edge.rules.pods" -}}
- apiGroups: [getedge.me]
  resources: [runtimes]
  verbs: [get, list, watch, patch]
- apiGroups: [getedge.me]
  resources: [runtimes/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, watch]
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

{{/* Who may make pods may read every Secret beside them, so it is given by namespace. */}}
{{- define "edge.rules.pods.place" -}}
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

{{/* A node: its Runtimes' containers, what it says of itself, and whether who asks it may. */}}
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
# Which pods of ours run here, for their metrics.
- apiGroups: [""]
  resources: [pods]
  verbs: [watch]
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

{{/* Passwords of registries and what spec.env names, by name; in the runtimes' namespaces only. */}}
{{- define "edge.rules.pullSecrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}

{{/* Cleaning up after the release: finalizers are taken off once its pods are gone. */}}
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

{{/* helm test: what a person would look at. */}}
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
