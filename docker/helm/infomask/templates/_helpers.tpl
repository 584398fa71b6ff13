{{- define "infomask.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "infomask.labels" -}}
app.kubernetes.io/name: infomask
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
