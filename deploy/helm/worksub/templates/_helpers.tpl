{{/* Name of a resource of a component: (dict "root" $ "component" "worker"). */}}
{{- define "worksub.name" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 50 | trimSuffix "-") .component -}}
{{- end }}

{{- define "worksub.selector" -}}
app.kubernetes.io/name: worksub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "worksub.labels" -}}
{{ include "worksub.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "worksub.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Entry of `env` with a value, or none if the value is empty: (list NAME VALUE). */}}
{{- define "worksub.variable" -}}
{{- if ne (toString (index . 1)) "" }}
- name: {{ index . 0 }}
  value: {{ index . 1 | quote }}
{{- end }}
{{- end }}

{{/* Entry of `env` from a Secret, or none if the Secret has no name: (list NAME (dict "name" … "key" …)). */}}
{{- define "worksub.secretVariable" -}}
{{- with index . 1 }}
{{- if .name }}
- name: {{ index $ 0 }}
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end }}

{{/* Connection to PostgreSQL with the login of a component. */}}
{{- define "worksub.database" -}}
{{- $database := .root.Values.database }}
{{- $login := index $database.logins .component }}
{{- $query := printf "sslmode=%s" $database.sslmode }}
{{- if $database.caSecret }}
{{- $query = printf "%s&sslrootcert=/run/worksub/database/ca.crt" $query }}
{{- end }}
- name: DATABASE_URL
  value: {{ printf "postgresql://%s@%s:%v/%s?%s" $login.user $database.host $database.port $database.name $query | quote }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ $database.passwordsSecret }}, key: {{ $login.passwordKey }}}}
{{- end }}

{{/* Connection to Temporal, except what the Temporal Worker Controller sets. */}}
{{- define "worksub.temporal" -}}
{{- $temporal := .Values.temporal }}
{{- include "worksub.secretVariable" (list "TEMPORAL_API_KEY" $temporal.apiKeySecret) }}
{{- if $temporal.tls.secret }}
{{- include "worksub.variable" (list "TEMPORAL_TLS" "true") }}
{{- if $temporal.tls.ca }}
{{- include "worksub.variable" (list "TEMPORAL_TLS_SERVER_CA_CERT_PATH" "/run/worksub/temporal/ca.crt") }}
{{- end }}
{{- if $temporal.tls.clientCertificate }}
{{- include "worksub.variable" (list "TEMPORAL_TLS_CLIENT_CERT_PATH" "/run/worksub/temporal/tls.crt") }}
{{- include "worksub.variable" (list "TEMPORAL_TLS_CLIENT_KEY_PATH" "/run/worksub/temporal/tls.key") }}
{{- end }}
{{- end }}
{{- include "worksub.variable" (list "TEMPORAL_TLS_SERVER_NAME" $temporal.tls.serverName) }}
{{- end }}

{{- define "worksub.temporalAddress" -}}
- name: TEMPORAL_ADDRESS
  value: {{ .Values.temporal.address | quote }}
- name: TEMPORAL_NAMESPACE
  value: {{ .Values.temporal.namespace | quote }}
{{- end }}

{{/* Settings of the values, those of the component before those of every process; and the encryption keys. */}}
{{- define "worksub.settings" -}}
{{- $own := dict }}
{{- if hasKey (index .root.Values .component) "settings" }}
{{- $own = (index .root.Values .component).settings }}
{{- end }}
{{- range $name, $setting := merge (deepCopy $own) .root.Values.settings }}
{{- include "worksub.variable" (list $name $setting) }}
{{- end }}
{{- if .root.Values.encryptionKeysSecret.name }}
{{- include "worksub.variable" (list "WORKSUB_ENCRYPTION_KEYS_FILE" "/run/worksub/encryption/keys") }}
{{- end }}
{{- end }}

{{/* Directories of a container: the files of the Secrets, and /tmp, because the root file system is read-only. */}}
{{- define "worksub.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if .Values.temporal.tls.secret }}
- name: temporal
  secret: {secretName: {{ .Values.temporal.tls.secret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.database.caSecret }}
- name: database
  secret: {secretName: {{ .Values.database.caSecret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.encryptionKeysSecret.name }}
- name: encryption
  secret:
    secretName: {{ .Values.encryptionKeysSecret.name }}
    defaultMode: 0440
    items: [{key: {{ .Values.encryptionKeysSecret.key }}, path: keys}]
{{- end }}
{{- end }}

{{- define "worksub.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.temporal.tls.secret }}
- {name: temporal, mountPath: /run/worksub/temporal, readOnly: true}
{{- end }}
{{- if .Values.database.caSecret }}
- {name: database, mountPath: /run/worksub/database, readOnly: true}
{{- end }}
{{- if .Values.encryptionKeysSecret.name }}
- {name: encryption, mountPath: /run/worksub/encryption, readOnly: true}
{{- end }}
{{- end }}

{{- define "worksub.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "worksub.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Fields of a pod that every component has. */}}
{{- define "worksub.pod" -}}
{{- with .root.Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  {{- include "worksub.podSecurity" . | nindent 2 }}
{{- end }}

{{/* Placement of the pods of a component: on different nodes if possible. */}}
{{- define "worksub.placement" -}}
{{- $values := index .root.Values .component }}
{{- with $values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with $values.affinity }}
affinity: {{ toJson . }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "worksub.selector" . | nindent 8 }}
{{- end }}

{{/* Catalogue in the values: file, mount and setting. */}}
{{- define "worksub.catalogueVolume" -}}
{{- if .root.Values.catalogue }}
- name: catalogue
  configMap: {name: {{ include "worksub.name" . }}}
{{- end }}
{{- end }}

{{- define "worksub.catalogueMount" -}}
{{- if .Values.catalogue }}
- {name: catalogue, mountPath: /etc/worksub/catalogue, readOnly: true}
{{- end }}
{{- end }}

{{- define "worksub.catalogueSetting" -}}
{{- if .Values.catalogue }}
{{- include "worksub.variable" (list "WORKSUB_CATALOGUE" "/etc/worksub/catalogue/catalogue.toml") }}
{{- end }}
{{- end }}
