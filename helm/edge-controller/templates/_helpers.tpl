{{/* The prefix of the names of all objects of a release; short enough for every suffix below. */}}
{{- define "edge.name" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "edge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "edge.labels" -}}
{{ include "edge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "edge.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}
{{- else }}{{ printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Image and pull policy of a container. */}}
{{- define "edge.container" -}}
image: {{ include "edge.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "edge.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "edge.clientSecret" -}}
{{- .Values.cloud.clientCertificateSecret | default (printf "%s-client" (include "edge.name" .)) }}
{{- end }}

{{- define "edge.runtimesNamespace" -}}
{{- .Values.runtimesNamespace | default .Release.Namespace }}
{{- end }}

{{/* Settings common to all pods. */}}
{{- define "edge.environment" -}}
- {name: EDGE_API, value: cluster}
- {name: EDGE_NAMESPACE, value: {{ include "edge.runtimesNamespace" . }}}
{{- with .Values.furtherNamespaces }}
- {name: EDGE_FURTHER_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
- {name: EDGE_LOG_FORMAT, value: json}
{{- range $name, $value := omit .Values.settings "EDGE_LOG_FORMAT" }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{/* The security context of an unprivileged container. */}}
{{- define "edge.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "edge.unprivilegedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* A role and its binding, from a dict of root, kind, name, rules (a template), account, and namespace for a Role;
     optional annotations, for example of a hook, go on both. */}}
{{- define "edge.role" -}}
{{- $root := .root }}
{{- $metadata := dict "name" .name "labels" (include "edge.labels" $root | fromYaml) }}
{{- with .namespace }}{{ $_ := set $metadata "namespace" . }}{{ end }}
{{- with .annotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  {{- toYaml $metadata | nindent 2 }}
rules:
  {{- include .rules $root | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  {{- toYaml $metadata | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind }}, name: {{ .name }}}
subjects:
  - {kind: ServiceAccount, name: {{ .account }}, namespace: {{ $root.Release.Namespace }}}
{{- end }}

{{/* The annotations of a hook, from a list of its events and its weight. */}}
{{- define "edge.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
