{{- /* What a load balancer asks on the intake's port. */}}
{{- define "retell-bridge.healthPath" -}}
{{- $intake := .Values.config.intake | default dict }}
{{- if hasKey $intake "health_path" }}{{ $intake.health_path }}{{ else }}/readyz{{ end }}
{{- end }}

{{- /* Largest body, in KiB. */}}
{{- define "retell-bridge.bodyMaxKibibytes" -}}
{{- include "retell-bridge.kibibytes" ((.Values.config.intake | default dict).body_max | default "8MiB") }}
{{- end }}

{{- /* What the ingress's controller must be told for the intake to work behind it, as YAML. */}}
{{- define "retell-bridge.ingressAnnotations" -}}
{{- $ingress := .Values.ingress }}
{{- $isHttps := eq (include "retell-bridge.scheme" .) "https" }}
{{- if eq $ingress.controller "nginx" }}
# Its default of 1 MiB refuses one-hour calls with 413, which the bridge never sees.
nginx.ingress.kubernetes.io/proxy-body-size: {{ include "retell-bridge.bodyMaxKibibytes" . }}k
{{- if $isHttps }}
nginx.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- else if eq $ingress.controller "alb" }}
{{- $scheme := include "retell-bridge.scheme" . | upper }}
alb.ingress.kubernetes.io/target-type: ip
alb.ingress.kubernetes.io/backend-protocol: {{ $scheme }}
alb.ingress.kubernetes.io/healthcheck-protocol: {{ $scheme }}
alb.ingress.kubernetes.io/healthcheck-port: traffic-port
alb.ingress.kubernetes.io/healthcheck-path: {{ include "retell-bridge.healthPath" . }}
alb.ingress.kubernetes.io/healthcheck-interval-seconds: "5"
alb.ingress.kubernetes.io/healthcheck-timeout-seconds: "3"
alb.ingress.kubernetes.io/unhealthy-threshold-count: "2"
alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds={{ include "retell-bridge.seconds" .Values.config.shutdown.deadline }}
{{- else if eq $ingress.controller "gce" }}
# Its controller reads this, and not ingressClassName.
kubernetes.io/ingress.class: {{ $ingress.className | default "gce" }}
{{- end }}
{{- end }}

{{- /* What Google's load balancer looks for on the Service. */}}
{{- define "retell-bridge.serviceAnnotations" -}}
{{- if and .Values.ingress.enabled (eq .Values.ingress.controller "gce") }}
cloud.google.com/neg: '{"ingress": true}'
cloud.google.com/backend-config: '{"default": "{{ include "retell-bridge.fullname" . }}"}'
{{- if eq (include "retell-bridge.scheme" .) "https" }}
cloud.google.com/app-protocols: '{"http": "HTTPS"}'
{{- end }}
{{- end }}
{{- end }}
