{{/* Labels of all objects of a release. */}}
{{- define "runtimes.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The spec of one Runtime, from a dict of name, own and defaults. */}}
{{- define "runtimes.spec" -}}
{{- $spec := mergeOverwrite (dict "deviceId" .name) (deepCopy (.defaults | default dict)) (deepCopy (.own | default dict)) }}
{{- $_ := required (printf "runtimes.%s.image is missing: set it there or in defaults.image" .name) $spec.image }}
{{- toYaml $spec }}
{{- end }}
