{{- /* Names, paths, labels and variables that would collide with each other or with what the chart itself sets. */}}
{{- define "retell-bridge.validateNames" -}}
{{- $name := include "retell-bridge.fullname" . }}
{{- if regexMatch "^[0-9]" $name }}
{{- fail (printf "The resources would be called %s, and a Service's name begins with a letter: set fullnameOverride." $name) }}
{{- end }}
{{- /* As the bridge compares them: a slash at the end is none. */}}
{{- $taken := dict (include "retell-bridge.healthPath" . | trimSuffix "/") "config.intake.health_path" }}
{{- range $source, $values := .Values.config.sources }}
{{- $path := trimSuffix "/" $values.path }}
{{- with index $taken $path }}
{{- fail (printf "config.sources.%s.path (%s) is the path of %s as well: give each a path of its own." $source $values.path .) }}
{{- end }}
{{- $_ := set $taken $path (printf "config.sources.%s" $source) }}
{{- end }}
{{- if and .Values.httpRoute.enabled (gt (len .Values.config.sources) 64) }}
{{- fail (printf "httpRoute.enabled is true and there are %d sources: an HTTPRoute carries at most 64. Divide them among releases, or write the routes in extraObjects." (len .Values.config.sources)) }}
{{- end }}
{{- range $label, $_ := .Values.podLabels }}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance") }}
{{- fail (printf "podLabels has %s, by which the Services find the pods: take it out." $label) }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if and (hasPrefix "RETELL_BRIDGE_" .name) (not (hasPrefix "RETELL_BRIDGE_KAFKA_PROPERTY_" .name)) }}
{{- fail (printf "extraEnv has %s, which would win over the settings that the chart has computed with: give settings in config, and secret properties of Kafka as RETELL_BRIDGE_KAFKA_PROPERTY_…." .name) }}
{{- end }}
{{- end }}
{{- end }}
