{{- /* What the API server would refuse in the middle of an upgrade, or what would leave volumes behind: said before anything
       is changed. Only an upgrade sees the cluster; `helm template` finds nothing there. */}}
{{- define "retell-bridge.validateLive" -}}
{{- $name := include "retell-bridge.fullname" . }}
{{- range (lookup "apps/v1" "StatefulSet" .Release.Namespace "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- $isOurs := and (eq (index $labels "app.kubernetes.io/name" | default "") "retell-bridge") (eq (index $labels "app.kubernetes.io/instance" | default "") $.Release.Name) }}
{{- if and $isOurs (ne .metadata.name $name) }}
{{- fail (printf "The release runs as %s, and its volumes belong to that name: as %s it would begin with empty ones. Set fullnameOverride=%s." .metadata.name $name .metadata.name) }}
{{- end }}
{{- if $isOurs }}
{{- $claims := .spec.volumeClaimTemplates | default list }}
{{- if ne $.Values.persistence.enabled (not (empty $claims)) }}
{{- fail "persistence.enabled cannot be changed by an upgrade: install a second release with it, and remove this one when it has published everything." }}
{{- end }}
{{- range $claims }}
{{- if ne (include "retell-bridge.mebibytes" .spec.resources.requests.storage) (include "retell-bridge.mebibytes" $.Values.persistence.size) }}
{{- fail (printf "persistence.size is %s and the volumes have %s, which an upgrade alone cannot change: RetellBridgeJournalRoomShort in deploy/RUNBOOK.md says how volumes grow." $.Values.persistence.size .spec.resources.requests.storage) }}
{{- end }}
{{- if ne (.spec.storageClassName | default "") ($.Values.persistence.storageClass | default "") }}
{{- fail (printf "persistence.storageClass is %q and the volumes have %q, which an upgrade cannot change: leave it, or install a second release." ($.Values.persistence.storageClass | default "") (.spec.storageClassName | default "")) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
