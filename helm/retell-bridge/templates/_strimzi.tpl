{{- /* Full names of all topics, one a line, by the rules of src/publisher/routing.rs; a test compares them. */}}
{{- define "retell-bridge.topics" -}}
{{- $topics := .Values.config.topics | default dict }}
{{- $prefixes := list (ternary $topics.prefix "retell." (hasKey $topics "prefix")) }}
{{- range $name, $source := .Values.config.sources }}
{{- if hasKey $source "topic_prefix" }}{{ $prefixes = append $prefixes $source.topic_prefix }}{{ end }}
{{- end }}
{{- $types := list "call_started" "call_ended" "call_analyzed" "transcript_updated" "transfer_started" "transfer_bridged" "transfer_cancelled" "transfer_ended" "chat_started" "chat_ended" "chat_analyzed" "call_inbound" "chat_inbound" }}
{{- if kindIs "slice" $topics.types }}{{ $types = $topics.types }}{{ end }}
{{- $overrides := $topics.overrides | default dict }}
{{- $names := list }}
{{- range $prefix := $prefixes }}
{{- range $type := concat $types (list "unrecognized" "dead_letter") }}
{{- $names = append $names (index $overrides $type | default (printf "%s%s" $prefix $type)) }}
{{- end }}
{{- end }}
{{- with $topics.all }}{{ $names = append $names . }}{{ end }}
{{- $names | uniq | join "\n" }}
{{- end }}

{{- /* Name of a topic's resource: lower case, and what Kubernetes does not take becomes a hyphen. */}}
{{- define "retell-bridge.topicResource" -}}
{{- $name := regexReplaceAll "[^a-z0-9.]" (lower .) "-" }}
{{- regexReplaceAll "-*[.][-.]*" $name "." | trimAll "-." | default "topic" }}
{{- end }}

{{- /* max.message.bytes for the largest body: 16 KiB more are for key and headers. */}}
{{- define "retell-bridge.recordMaxBytes" -}}
{{- add (mul (include "retell-bridge.bodyMaxKibibytes" . | int64) 1024) 16384 }}
{{- end }}
