{{- define "retell-bridge.podSecurity" -}}
# Pod Security "restricted".
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# The volume's owner is set when it is new, not file by file at every start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "retell-bridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* What every pod of the chart has, whatever it does. */}}
{{- define "retell-bridge.podBase" -}}
serviceAccountName: {{ include "retell-bridge.fullname" . }}
automountServiceAccountToken: false
# Without the environment of every Service in the namespace: a Service named retell-bridge would look like settings.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "retell-bridge.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "retell-bridge.containerBase" -}}
image: {{ include "retell-bridge.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "retell-bridge.containerSecurity" . | nindent 2 }}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Settings, keys and certificates: the folders, and the volumes behind them. */}}
{{- define "retell-bridge.settingsMounts" -}}
- name: config
  mountPath: /etc/retell-bridge/config
  readOnly: true
# A folder, not single files: only so does a changed Secret reach a running pod.
- name: keys
  mountPath: /etc/retell-bridge/keys
  readOnly: true
{{- if .Values.tls.existingSecret }}
- name: tls
  mountPath: /etc/retell-bridge/tls
  readOnly: true
{{- end }}
{{- range $number, $name := .Values.kafkaSecrets }}
- name: kafka-{{ $number }}
  mountPath: /etc/retell-bridge/kafka/{{ $name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "retell-bridge.settingsVolumes" -}}
- name: config
  configMap:
    name: {{ include "retell-bridge.fullname" . }}
- name: keys
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "retell-bridge.keysSecret" . }}
          # By name: a Secret that lacks a source's entry is told in the pod's events.
          items:
            {{- range $name, $_ := .Values.config.sources }}
            - {key: {{ $name | quote }}, path: {{ $name | quote }}}
            {{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- range $number, $name := .Values.kafkaSecrets }}
- name: kafka-{{ $number }}
  secret:
    secretName: {{ $name }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The instances of the StatefulSet. */}}
{{- define "retell-bridge.podSpec" -}}
{{ include "retell-bridge.podBase" . }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
# What is not published by the deadline waits on the volume; 10 s more are for the last sync and the checkpoint.
terminationGracePeriodSeconds: {{ add (include "retell-bridge.seconds" .Values.config.shutdown.deadline) 10 }}
containers:
  - name: retell-bridge
    {{- include "retell-bridge.containerBase" . | nindent 4 }}
    args: [serve, --config, /etc/retell-bridge/config/config.yaml]
    ports:
      - name: http
        containerPort: 8080
      - name: admin
        containerPort: 9464
    # A long recovery is no reason to be killed: 10 minutes.
    startupProbe:
      httpGet: {path: /livez, port: admin}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 300
    livenessProbe:
      httpGet: {path: /livez, port: admin}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: {path: /readyz, port: admin}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 1
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    volumeMounts:
      - name: journal
        mountPath: /var/lib/retell-bridge
      {{- include "retell-bridge.settingsMounts" . | nindent 6 }}
volumes:
  {{- include "retell-bridge.settingsVolumes" . | nindent 2 }}
  {{- if not .Values.persistence.enabled }}
  - name: journal
    emptyDir:
      sizeLimit: {{ .Values.persistence.size }}
  {{- end }}
# Over nodes where that is possible; a cluster of one node takes them all.
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "retell-bridge.selectorLabels" . | nindent 8 }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
