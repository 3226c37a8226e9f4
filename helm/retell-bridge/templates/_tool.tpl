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

{{- /* The pod that drains a claim: takes the root and the claim. */}}
{{- define "retell-bridge.drainPod" -}}
{{- $root := index . 0 }}
{{- with $root -}}
metadata:
  labels:
    {{- include "retell-bridge.toolMetadataLabels" . | nindent 4 }}
spec:
  {{- include "retell-bridge.podBase" . | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: drain
      {{- include "retell-bridge.containerBase" . | nindent 6 }}
      args: [drain, /var/lib/retell-bridge, --config, /etc/retell-bridge/config/config.yaml]
      resources:
        {{- include "retell-bridge.toolResources" . | nindent 8 }}
      volumeMounts:
        - name: journal
          mountPath: /var/lib/retell-bridge
        {{- include "retell-bridge.settingsMounts" . | nindent 8 }}
  volumes:
    - name: journal
      persistentVolumeClaim:
        claimName: {{ index $ 1 | quote }}
    {{- include "retell-bridge.settingsVolumes" . | nindent 4 }}
{{- end }}
{{- end }}

{{- /* The topic on which that event comes out. */}}
{{- define "retell-bridge.testTopic" -}}
{{- $topics := .Values.config.topics | default dict }}
{{- $source := index .Values.config.sources (include "retell-bridge.testSource" .) }}
{{- $prefix := ternary $topics.prefix "retell." (hasKey $topics "prefix") }}
{{- if hasKey $source "topic_prefix" }}{{ $prefix = $source.topic_prefix }}{{ end }}
{{- index ($topics.overrides | default dict) "unrecognized" | default (printf "%sunrecognized" $prefix) }}
{{- end }}
