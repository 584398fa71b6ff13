{{- define "infomask.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "infomask.labels" -}}
app.kubernetes.io/name: infomask
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{/* A setting as the service reads it: a whole number of a values file is no 2.097152e+07. */}}
{{- define "infomask.setting" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}
{{- define "infomask.port" -}}{{ include "infomask.setting" ((.Values.settings).port | default 8080) }}{{- end -}}
