{{- /* Parts of a pod that does one thing and ends: the topics Job, the drain Job, the test. Its labels are not those of the
       instances, else the Services would send it events. */}}
{{- define "retell-bridge.toolLabels" -}}
app.kubernetes.io/name: retell-bridge-tool
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "retell-bridge.toolMetadataLabels" -}}
{{ include "retell-bridge.toolLabels" . }}
{{ include "retell-bridge.releaseLabels" . }}
{{- end }}

{{- define "retell-bridge.toolResources" -}}
requests: {cpu: 10m, memory: 32Mi}
limits: {memory: 256Mi}
{{- end }}

{{- /* The source that the test's event is for: the first that takes any address, else the first. */}}
{{- define "retell-bridge.testSource" -}}
{{- $found := "" }}
{{- range $name, $source := .Values.config.sources }}
{{- if and (not $found) (not $source.allow) }}{{ $found = $name }}{{ end }}
{{- end }}
{{- $found | default (keys .Values.config.sources | sortAlpha | first) }}
{{- end }}
