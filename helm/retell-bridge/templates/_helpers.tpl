{{- /* Name of all resources. 52: the StatefulSet adds a hash of 10 characters to it in a label, which holds 63. Without
       dots, which the name of a release may have and that of a Service may not. */}}
{{- define "retell-bridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name }}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" (replace "." "-" .Release.Name) .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* The headless Service, which the StatefulSet names. Fixed for ever, as are the two labels of the selector. */}}
{{- define "retell-bridge.headless" -}}
{{- include "retell-bridge.fullname" . }}-headless
{{- end }}

{{- define "retell-bridge.selectorLabels" -}}
app.kubernetes.io/name: retell-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "retell-bridge.labels" -}}
{{ include "retell-bridge.selectorLabels" . }}
{{ include "retell-bridge.releaseLabels" . }}
{{- end }}

{{- /* What every object of the chart has, and no selector. */}}
{{- define "retell-bridge.releaseLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "retell-bridge.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "retell-bridge.keysSecret" -}}
{{- .Values.keys.existingSecret | default (printf "%s-keys" (include "retell-bridge.fullname" .)) }}
{{- end }}

{{- /* A size (12Gi, 10240MiB) in MiB. The schema has made sure of the form. */}}
{{- define "retell-bridge.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- $unit := regexFind "[KMGT]i" . }}
{{- if eq $unit "Ti" }}{{ mul $number 1048576 }}{{ else if eq $unit "Gi" }}{{ mul $number 1024 }}
{{- else if eq $unit "Mi" }}{{ $number }}{{ else }}{{ div $number 1024 }}{{ end }}
{{- end }}

{{- /* The same in KiB. */}}
{{- define "retell-bridge.kibibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- if hasSuffix "KiB" . }}{{ $number }}{{ else }}{{ mul (include "retell-bridge.mebibytes" .) 1024 }}{{ end }}
{{- end }}

{{- /* A time (90s, 2m) in seconds. The schema has made sure of the form. */}}
{{- define "retell-bridge.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- if hasSuffix "m" . }}{{ mul $number 60 }}{{ else }}{{ $number }}{{ end }}
{{- end }}

{{- /* The settings as the bridge reads them: config, and what the chart itself must set. */}}
{{- define "retell-bridge.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $name, $source := $config.sources }}
{{- $_ := set $source "keys_file" (printf "/etc/retell-bridge/keys/%s" $name) }}
{{- end }}
{{- $room := div (mul (include "retell-bridge.mebibytes" .Values.persistence.size | int64) 5) 6 }}
{{- $journal := dict "dir" "/var/lib/retell-bridge" "size_max" (printf "%dMiB" $room) }}
{{- $_ := set $config "journal" (merge ($config.journal | default dict) $journal) }}
{{- $_ := set $config "listen" "0.0.0.0:8080" }}
{{- $_ := set $config "admin" (dict "listen" "0.0.0.0:9464") }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $config "tls" (dict "cert_file" "/etc/retell-bridge/tls/tls.crt" "key_file" "/etc/retell-bridge/tls/tls.key") }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "retell-bridge.scheme" -}}
{{ ternary "https" "http" (not (empty .Values.tls.existingSecret)) }}
{{- end }}
