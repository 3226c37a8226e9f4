{{- /* The rules of files/alerts.yaml with what prometheusRule.alerts and runbookBase change in them, as YAML; and for this
       release alone: with its namespace in every selector, and its count of instances. */}}
{{- define "retell-bridge.alerts" -}}
{{- $given := .Values.prometheusRule }}
{{- /* How the number of an alert stands in its expression. */}}
{{- $numbers := dict
  "RetellBridgeSignaturesRefused" (list "> 5\n" "> %v\n")
  "RetellBridgeAnswersSlow" (list "> 5" "> %v")
  "RetellBridgeEventsNotPublished" (list "> 300" "> %v")
  "RetellBridgeJournalRoomShort" (list "< 4 * 3600" "< %v * 3600")
  "RetellBridgeCertificateEnds" (list "< 7 * 24" "< %v * 24") }}
{{- $groups := list }}
{{- range $group := (.Files.Get "files/alerts.yaml" | fromYaml).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $change := index $given.alerts $rule.alert | default dict }}
{{- if hasKey $change "threshold" }}
{{- $number := index $numbers $rule.alert }}
{{- if not $number }}
{{- fail (printf "prometheusRule.alerts.%s: this alert compares with no number, so it takes no threshold." $rule.alert) }}
{{- end }}
{{- if not (contains (index $number 0) $rule.expr) }}
{{- fail (printf "The chart looks for %q in the expression of %s." (index $number 0) $rule.alert) }}
{{- end }}
{{- $_ := set $rule "expr" (replace (index $number 0) (printf (index $number 1) $change.threshold) $rule.expr) }}
{{- end }}
{{- $expr := regexReplaceAll "< max_over_time\\(.*" $rule.expr (printf "< %v" $.Values.replicas) }}
{{- $namespace := printf "namespace=%q" $.Release.Namespace }}
{{- $expr = regexReplaceAll "\\b(up|retell_bridge_[a-z_]+)\\b" $expr (printf "${1}{%s}" $namespace) }}
{{- $_ := set $rule "expr" (replace (printf "{%s}{" $namespace) (printf "{%s," $namespace) $expr) }}
{{- with $change.for }}{{ $_ := set $rule "for" . }}{{ end }}
{{- with $change.severity }}{{ $_ := set $rule.labels "severity" . }}{{ end }}
{{- $heading := splitList "#" $rule.annotations.runbook_url | last }}
{{- with $given.runbookBase }}{{ $_ := set $rule.annotations "runbook_url" (printf "%s#%s" . $heading) }}{{ end }}
{{- if ne (toString $change.enabled) "false" }}{{ $rules = append $rules $rule }}{{ end }}
{{- end }}
{{- $groups = append $groups (dict "name" $group.name "rules" $rules) }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}

{{- /* An instance is called as its pod: an address is another one after each restart. */}}
{{- define "retell-bridge.relabelings" -}}
relabelings:
  - action: replace
    sourceLabels: [__meta_kubernetes_pod_name]
    targetLabel: instance
{{- end }}
