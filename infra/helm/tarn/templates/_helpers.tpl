{{/* What the names of all objects begin with. */}}
{{- define "tarn.fullname" -}}
{{- if contains "tarn" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- else -}}{{ printf "%s-tarn" .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "tarn.selector" -}}
app.kubernetes.io/name: tarn
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tarn.labels" -}}
{{ include "tarn.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tarn.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ .Values.serviceAccount.name | default (include "tarn.fullname" .) }}{{- else -}}{{ .Values.serviceAccount.name | default "default" }}{{- end -}}
{{- end -}}

{{- define "tarn.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* The roles that answer HTTP and may have several replicas, as a list. */}}
{{- define "tarn.roles" -}}
{{- if eq .Values.mode "all" -}}all{{- else -}}ingest query{{- end -}}
{{- end -}}

{{- define "tarn.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tarn.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "tarn.env" -}}
- name: TARN_STORE
  value: {{ required "store is the bucket of the data: --set store=s3://bucket/prefix" .Values.store | quote }}
- name: TARN_LOG_FORMAT
  value: json
- name: AWS_REGION
  value: {{ .Values.s3.region | quote }}
{{- with .Values.s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.config }}
- name: TARN_CONFIG
  value: /etc/tarn/tarn.toml
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "tarn.envFrom" -}}
{{- with .Values.s3.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end -}}

{{- define "tarn.mounts" -}}
{{- if .Values.config }}
volumeMounts:
  - name: config
    mountPath: /etc/tarn
    readOnly: true
{{- end }}
{{- end -}}

{{- define "tarn.volumes" -}}
{{- if .Values.config }}
volumes:
  - name: config
    configMap:
      name: {{ include "tarn.fullname" . }}
{{- end }}
{{- end -}}

{{/* Where pods may run, and as whom. */}}
{{- define "tarn.placement" -}}
serviceAccountName: {{ include "tarn.serviceAccount" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "tarn.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A deployment of the role in .role, with the values in .of. */}}
{{- define "tarn.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "tarn.fullname" $root }}-{{ .role }}
  labels:
    {{- include "tarn.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  {{- if not (dig "autoscaling" "enabled" false .of) }}
  replicas: {{ dig "replicas" 1 .of }}
  {{- end }}
  {{- if eq .role "compactor" }}
  # Two at once do no harm, but one is enough.
  strategy: { type: Recreate }
  {{- else }}
  strategy: { type: RollingUpdate, rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } }
  {{- end }}
  selector:
    matchLabels:
      {{- include "tarn.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  template:
    metadata:
      labels:
        {{- include "tarn.selector" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .role }}
        {{- with $root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ $root.Values.config | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "tarn.placement" $root | nindent 6 }}
      # Tarn itself is done within 10 s of being told to stop.
      terminationGracePeriodSeconds: {{ add $root.Values.preStopSeconds 15 }}
      containers:
        - name: tarn
          image: {{ include "tarn.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [serve, --listen, "0.0.0.0:3100", --role, {{ .role }}]
          env:
            {{- include "tarn.env" $root | nindent 12 }}
          {{- include "tarn.envFrom" $root | nindent 10 }}
          ports:
            - { name: http, containerPort: 3100 }
          # 200 once the store was found to keep its promises.
          readinessProbe:
            httpGet: { path: /ready, port: http }
            periodSeconds: 5
          # Asks the process only: a store that is away is no reason to restart it.
          livenessProbe:
            httpGet: { path: /loki/api/v1/status/buildinfo, port: http }
            periodSeconds: 20
            timeoutSeconds: 5
            failureThreshold: 6
          {{- if $root.Values.preStopSeconds }}
          lifecycle:
            preStop:
              sleep: { seconds: {{ $root.Values.preStopSeconds }} }
          {{- end }}
          resources:
            {{- toYaml .of.resources | nindent 12 }}
          securityContext:
            {{- include "tarn.containerSecurity" $root | nindent 12 }}
          {{- include "tarn.mounts" $root | nindent 10 }}
      {{- include "tarn.volumes" $root | nindent 6 }}
{{- end -}}
