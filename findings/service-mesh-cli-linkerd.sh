#!/usr/bin/env bash
# Guess:    service-mesh-cli, "service mesh configuration validator ... for Istio/Linkerd", knows Linkerd's resources.
# Seen:     it knows no kind of Linkerd's, of the Gateway API's or of SMI's. Files of them count as 0 resources and get
#           100 of 100 points, grade A, "No issues found", also with --provider linkerd and also where the content is
#           nonsense. The exit code with --fail-on low is 0. Linkerd's AuthorizationPolicy is judged as Istio's and
#           called permissive, although it asks for an identity.
#           (--format json wraps long texts at the terminal's width, 80 columns in a pipe, which is no JSON any more.)
# Versions: service-mesh-cli 1.0.0; Python 3.11.
# Date:     2026-11-30
# Hurt:     teams that put it into CI as the gate for their mesh's configuration: everything passes. A retry budget
#           that Linkerd refuses, or a misspelt route, reaches the cluster with a certificate of health.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet service-mesh-cli==1.0.0

cat >profile.yaml <<'YAML'
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.shop.svc.cluster.local, namespace: shop}
spec:
  routes: [{name: GET /books, condition: {method: GET, pathRegex: /books}, timeout: 300ms}]
  retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {rules: [{backendRefs: [{name: web, port: 80, weight: 90}, {name: web-v2, port: 80, weight: 5}]}]}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: web}
spec: {service: web, backends: [{service: web, weight: 90}, {service: web-v2, weight: 5}]}
YAML
sed 's/timeout: 300ms/timeout: soon/; s/retryRatio: 0.2/retryRatio: -7/' profile.yaml >nonsense.yaml
cat >policy.yaml <<'YAML'
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: web}
  requiredAuthenticationRefs: [{kind: ServiceAccount, name: shop}]
YAML
for file in profile nonsense policy; do
  code=0
  COLUMNS=500 venv/bin/service-mesh-cli validate --provider linkerd --format json --fail-on low "$file.yaml" >out.json || code=$?
  python3 - "$file" "$code" <<'PY'
import json, sys
report = json.load(open("out.json"))
print(sys.argv[1], "exit", sys.argv[2], report["total_resources"], "resources, grade", report["grade"],
      [finding["title"] for finding in report["findings"]])
PY
done >seen

cat >expected <<'TXT'
profile exit 0 0 resources, grade A []
nonsense exit 0 0 resources, grade A []
policy exit 1 1 resources, grade A ['Permissive Authorization Policy']
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
