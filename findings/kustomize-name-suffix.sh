#!/usr/bin/env bash
# Guess:    kustomize's nameSuffix, which renames a Service, renames it wherever a mesh's resources speak of it.
# Seen:     the Service web becomes web-v2, and an Ingress follows. A Gateway API HTTPRoute keeps web as its parent and
#           as its backend, a TrafficSplit keeps web as its service and backend, and a ServiceProfile gets the suffix
#           behind the domain: web.shop.svc.cluster.local-v2. No warning is given. namePrefix fits a ServiceProfile,
#           but not the other two.
# Versions: sigs.k8s.io/kustomize/api 0.21.2; Go 1.26.
# Date:     2026-11-30
# Hurt:     teams that build variants of one base (blue and green, a preview for each branch) with it. The variant's
#           routes, splits, retries and timeouts belong to a Service that is another's or that does not exist, so its
#           own traffic has no policy at all, or it bends the traffic of the base.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'MOD'
module finding

go 1.25

require (
	sigs.k8s.io/kustomize/api v0.21.2
	sigs.k8s.io/kustomize/kyaml v0.21.2
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	resources, err := kustomizer.Run(filesys.MakeFsOnDisk(), "base")
	if err != nil {
		panic(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		panic(err)
	}
	fmt.Print(string(text))
}
GO
mkdir base
cat >base/kustomization.yaml <<'YAML'
nameSuffix: -v2
resources: [web.yaml]
YAML
cat >base/web.yaml <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}], selector: {app: web}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: edge}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: split}
spec: {service: web, backends: [{service: web, weight: 90}]}
---
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.shop.svc.cluster.local}
spec: {routes: []}
YAML
go mod tidy >/dev/null 2>&1
go run . | grep -E '^kind:|name: (web|edge|route|split)|service: web' | sed -E 's/^[ -]+//' >seen

cat >expected <<'TXT'
kind: Service
name: web-v2
kind: Ingress
name: edge-v2
name: web-v2
kind: HTTPRoute
name: route-v2
name: web
name: web
kind: TrafficSplit
name: split-v2
service: web
service: web
kind: ServiceProfile
name: web.shop.svc.cluster.local-v2
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
