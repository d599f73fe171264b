{{/* Pod template of the workers, for the chart's Deployment and for the Temporal Worker Controller. */}}
{{- define "worksub.workerPod" -}}
{{- $component := dict "root" . "component" "worker" }}
metadata:
  labels:
    {{- include "worksub.labels" $component | nindent 4 }}
  annotations:
    # A changed catalogue replaces the workers.
    checksum/catalogue: {{ .Values.catalogue | sha256sum }}
    {{- with .Values.worker.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "worksub.pod" $component | nindent 2 }}
  # Longer than the graceful shutdown timeout of 20 seconds.
  terminationGracePeriodSeconds: 30
  {{- include "worksub.placement" $component | nindent 2 }}
  containers:
    - name: worker
      image: {{ include "worksub.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [worksub, worker]
      securityContext:
        {{- include "worksub.containerSecurity" . | nindent 8 }}
      env:
        {{- include "worksub.database" $component | nindent 8 }}
        {{- if not .Values.worker.versions.enabled }}
        {{- include "worksub.temporalAddress" . | nindent 8 }}
        {{- end }}
        {{- include "worksub.temporal" . | nindent 8 }}
        {{- include "worksub.settings" $component | nindent 8 }}
        {{- include "worksub.secretVariable" (list "WORKSUB_SMTP_PASSWORD" .Values.worker.smtpPasswordSecret) | nindent 8 }}
        {{- include "worksub.catalogueSetting" . | nindent 8 }}
        - name: WORKSUB_METRICS_ADDRESS
          value: 0.0.0.0:9464
        - name: WORKSUB_HEALTH_ADDRESS
          value: 0.0.0.0:9465
      ports:
        - {name: metrics, containerPort: 9464}
        - {name: health, containerPort: 9465}
      # A worker waits for unavailable servers, so only a process that does not respond is restarted.
      livenessProbe:
        httpGet: {path: /livez, port: health}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: health}
        periodSeconds: 10
        timeoutSeconds: 8
      startupProbe:
        httpGet: {path: /livez, port: health}
        periodSeconds: 2
        failureThreshold: 60
      resources: {{ toJson .Values.worker.resources }}
      volumeMounts:
        {{- include "worksub.volumeMounts" . | nindent 8 }}
        {{- include "worksub.catalogueMount" . | nindent 8 }}
  volumes:
    {{- include "worksub.volumes" . | nindent 4 }}
    {{- include "worksub.catalogueVolume" $component | nindent 4 }}
{{- end }}
