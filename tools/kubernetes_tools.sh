#!/bin/sh
# kubernetes_tools.sh: kustomize and helm into GOBIN, built by go; without go the tests that need them are left out, and
# say so.
set -eu
command -v "${GO:-go}" >/dev/null 2>&1 || { echo "go is not installed: kustomize and helm are left out"; exit 0; }
[ -x "$GOBIN/kustomize" ] || "${GO:-go}" install sigs.k8s.io/kustomize/kustomize/v5@v5.6.0
[ -x "$GOBIN/helm" ] || "${GO:-go}" install helm.sh/helm/v3/cmd/helm@v3.17.3
