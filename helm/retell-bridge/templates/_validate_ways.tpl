{{- /* Contradictions in the ways in (ingress, route) and out (scrapes, topics, drains). */}}
{{- define "retell-bridge.validateWays" -}}
{{- $intake := .Values.config.intake | default dict }}
{{- $isProxied := or .Values.ingress.enabled .Values.httpRoute.enabled }}
{{- range $name, $source := .Values.config.sources }}
{{- if and $isProxied $source.allow (not $intake.trusted_proxies) }}
{{- fail (printf "config.sources.%s.allow is compared with the address that connects, which behind an ingress or a gateway is the proxy's: name its addresses in config.intake.trusted_proxies." $name) }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.enabled is true and ingress.hosts is empty: name the hosts to which Retell posts." }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled is true and httpRoute.parentRefs is empty: name the Gateway that carries the route." }}
{{- end }}
{{- $isHttps := not (empty .Values.tls.existingSecret) }}
{{- if and .Values.httpRoute.enabled $isHttps (not .Values.httpRoute.backendTLS) (not .Values.httpRoute.gkeHealthCheck) }}
{{- fail "tls.existingSecret makes the intake take HTTPS alone, and most Gateways speak plain HTTP to it unless a BackendTLSPolicy says otherwise: give its content in httpRoute.backendTLS, or leave tls.existingSecret empty." }}
{{- end }}
{{- if and .Values.httpRoute.backendTLS (not $isHttps) }}
{{- fail "httpRoute.backendTLS makes the Gateway speak HTTPS to the intake, which without tls.existingSecret takes HTTP: set both or neither." }}
{{- end }}
{{- $asks := or (and .Values.ingress.enabled (has .Values.ingress.controller (list "alb" "gce"))) (and .Values.httpRoute.enabled .Values.httpRoute.gkeHealthCheck) }}
{{- if and $asks (not (include "retell-bridge.healthPath" .)) }}
{{- fail "config.intake.health_path is empty, and the load balancer's health check needs it: take the setting out, or give it a path." }}
{{- end }}
{{- $ways := 0 }}
{{- range list .Values.serviceMonitor.enabled .Values.podMonitor.enabled .Values.scrapeAnnotations }}{{ if . }}{{ $ways = add1 $ways }}{{ end }}{{ end }}
{{- if gt (int $ways) 1 }}
{{- fail "More than one of serviceMonitor.enabled, podMonitor.enabled and scrapeAnnotations is on, and every event would count twice: choose one." }}
{{- end }}
{{- if and (or .Values.strimzi.topics .Values.strimzi.user) (not .Values.strimzi.cluster) }}
{{- fail "strimzi.cluster is empty: name the Kafka resource that the topics and the user belong to." }}
{{- end }}
{{- if and .Values.strimzi.topics .Values.topicsJob.enabled }}
{{- fail "strimzi.topics and topicsJob.enabled both make the topics, and would undo each other's settings: choose one." }}
{{- end }}
{{- if and .Values.strimzi.user .Values.topicsJob.enabled }}
{{- fail "strimzi.user makes a user that may write and nothing else, and topicsJob.enabled needs one that may create and alter topics: make the topics by strimzi.topics, or the user by yourself." }}
{{- end }}
{{- if and .Values.service.externalTrafficPolicy (eq .Values.service.type "ClusterIP") }}
{{- fail "service.externalTrafficPolicy is for the types LoadBalancer and NodePort, and service.type is ClusterIP: change the type, or leave the policy empty." }}
{{- end }}
{{- $name := include "retell-bridge.fullname" . }}
{{- range $number := until (int .Values.replicas) }}
{{- $claim := printf "journal-%s-%d" $name $number }}
{{- if has $claim $.Values.drain.claims }}
{{- fail (printf "drain.claims has %s, the volume of an instance that runs and publishes it by itself: name only claims whose instance is gone." $claim) }}
{{- end }}
{{- end }}
{{- end }}
