{{- /* Refuses values that contradict each other, each with a sentence that says what to do. The form of single values
       is the schema's matter. */}}
{{- define "retell-bridge.validate" -}}
{{- $keys := .Values.keys }}
{{- if and (not $keys.existingSecret) (not $keys.inline) }}
{{- fail "There are no API keys: name a Secret that holds them in keys.existingSecret (an entry for each source, one key a line), or give them in keys.inline." }}
{{- end }}
{{- if and $keys.existingSecret $keys.inline }}
{{- fail "keys.existingSecret and keys.inline are both set, and only one of them can be meant: empty the other." }}
{{- end }}
{{- if $keys.inline }}
{{- range $name, $_ := .Values.config.sources }}
{{- if not (hasKey $keys.inline $name) }}
{{- fail (printf "The source %s has no API keys: give them in keys.inline.%s, or take the source out of config.sources." $name $name) }}
{{- end }}
{{- end }}
{{- range $name, $values := $keys.inline }}
{{- if not (hasKey $.Values.config.sources $name) }}
{{- fail (printf "keys.inline.%s belongs to no source: config.sources has no %s." $name $name) }}
{{- end }}
{{- range $values }}
{{- if not (regexMatch "^\\S+$" .) }}
{{- fail (printf "A key in keys.inline.%s is empty or has a space in it. Give each key as it stands in Retell's dashboard." $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if not .Values.config.kafka.brokers }}
{{- fail "config.kafka.brokers is empty: set it to Kafka's bootstrap addresses, host:port, separated by commas." }}
{{- end }}
{{- range $name, $path := .Values.config.kafka.properties_files }}
{{- $parts := splitList "/" $path }}
{{- if and (hasPrefix "/etc/retell-bridge/kafka/" $path) (not (has (index $parts 4) $.Values.kafkaSecrets)) }}
{{- fail (printf "config.kafka.properties_files has %s in the Secret %s, which kafkaSecrets does not name: add it there." $name (index $parts 4)) }}
{{- end }}
{{- end }}
{{- $journal := .Values.config.journal | default dict }}
{{- if and (not .Values.persistence.enabled) (not $journal.allow_ephemeral) }}
{{- fail "persistence.enabled is false, so events that were answered and not yet published are lost with their pod: if that is what you want, say so with config.journal.allow_ephemeral=true." }}
{{- end }}
{{- $claim := include "retell-bridge.mebibytes" .Values.persistence.size | int64 }}
{{- with $journal.size_max }}
{{- $room := include "retell-bridge.mebibytes" . | int64 }}
{{- if lt (mul $claim 5) (mul $room 6) }}
{{- fail (printf "persistence.size (%s) is too small for config.journal.size_max (%s): the claim must be at least 1.2 times as large." $.Values.persistence.size .) }}
{{- end }}
{{- if lt $room 260 }}
{{- fail (printf "config.journal.size_max (%s) is too small: the bridge starts with 260MiB at least." .) }}
{{- end }}
{{- end }}
{{- if lt $claim 312 }}
{{- fail (printf "persistence.size (%s) is too small: the bridge starts with a journal of 260MiB at least, and the claim must be 1.2 times as large, 312Mi." .Values.persistence.size) }}
{{- end }}
{{- include "retell-bridge.validateNames" . }}
{{- include "retell-bridge.validateWays" . }}
{{- if .Release.IsUpgrade }}
{{- include "retell-bridge.validateLive" . }}
{{- end }}
{{- $shutdown := .Values.config.shutdown }}
{{- if ge (include "retell-bridge.seconds" $shutdown.delay | int64) (include "retell-bridge.seconds" $shutdown.deadline | int64) }}
{{- fail (printf "config.shutdown.delay (%s) must be shorter than config.shutdown.deadline (%s): both count from the signal." $shutdown.delay $shutdown.deadline) }}
{{- end }}
{{- end }}
