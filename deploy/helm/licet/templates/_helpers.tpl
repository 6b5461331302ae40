{{- define "licet.name" -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) | trunc 45 | trimSuffix "-" -}}
{{- end }}

{{- define "licet.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "licet.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "licet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "licet.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- /* What every pod of Licet may do, which is little. */ -}}
{{- define "licet.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "licet.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "licet.container" -}}
image: {{ include "licet.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "licet.containerSecurity" . }}
env:
  - {name: LICET_DATA, value: /var/lib/licet/data}
  - name: LICET_STORE
    value: {{ include "licet.store" . | quote }}
  - {name: LICET_STORE_PASSWORD_FILE, value: /run/licet/secret/database-password}
  - {name: LICET_ADMIN_HOST, value: {{ get .Values.settings "host" | default "0.0.0.0" | quote }}}
{{- if .Values.tls.existingSecret }}
  - {name: LICET_TLS_CERTIFICATE, value: /run/licet/tls/tls.crt}
  - {name: LICET_TLS_KEY, value: /run/licet/tls/tls.key}
{{- end }}
{{- range $name, $value := .Values.settings }}
  - name: LICET_{{ upper $name }}
    value: {{ if kindIs "slice" $value }}{{ join "," $value | quote }}{{ else if kindIs "float64" $value }}{{ int64 $value | toString | quote }}{{ else }}{{ toString $value | quote }}{{ end }}
{{- end }}
volumeMounts:
  - {name: data, mountPath: /var/lib/licet}
  - {name: tmp, mountPath: /tmp}
  - {name: secret, mountPath: /run/licet/secret, readOnly: true}
{{- if .Values.tls.existingSecret }}
  - {name: tls, mountPath: /run/licet/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "licet.store" -}}
{{- $url := required "database.url is required: postgresql://licet@db.example.com/licet" .Values.database.url -}}
{{- if .Values.secretKeys.databaseCa -}}
{{ $url }}{{ if contains "?" $url }}&{{ else }}?{{ end }}sslrootcert=/run/licet/secret/database-ca.crt
{{- else -}}
{{ $url }}
{{- end -}}
{{- end }}

{{- define "licet.volumes" -}}
volumes:
  - name: data
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
  - name: secret
    secret:
      secretName: {{ required "existingSecret is required: a Secret with secrets.json and database-password" .Values.existingSecret }}
      defaultMode: 0440
      items:
        - {key: {{ .Values.secretKeys.secretsJson | quote }}, path: secrets.json}
        - {key: {{ .Values.secretKeys.databasePassword | quote }}, path: database-password}
{{- if .Values.secretKeys.databaseCa }}
        - {key: {{ .Values.secretKeys.databaseCa | quote }}, path: database-ca.crt}
{{- end }}
{{- if .Values.tls.existingSecret }}
  - name: tls
    secret: {secretName: {{ .Values.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "licet.migration" -}}
{{- $root := index . 0 }}{{ $moment := index . 1 }}{{ $hook := index . 2 }}{{ $arguments := index . 3 -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "licet.name" $root }}-migrate-{{ $moment }}
  labels:
    {{- include "licet.labels" $root | nindent 4 }}
  annotations:
    helm.sh/hook: {{ $hook }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 10
  activeDeadlineSeconds: {{ $root.Values.migrations.deadlineSeconds | int64 }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ $root.Chart.Name }}-migrate
        app.kubernetes.io/instance: {{ $root.Release.Name }}
    spec:
      restartPolicy: OnFailure
      {{- include "licet.podSecurity" $root | nindent 6 }}
      containers:
        - name: migrate
          args: [{{ $arguments }}]
          {{- include "licet.container" $root | nindent 10 }}
          resources:
            {{- toYaml $root.Values.resources | nindent 12 }}
      {{- include "licet.volumes" $root | nindent 6 }}
{{- end }}
