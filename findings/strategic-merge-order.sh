#!/usr/bin/env bash
# Guess:    a strategic merge patch that adds containers to a pod template puts them behind those that are there.
# Seen:     it puts them in front, among init containers and ordinary containers alike, and so does a kustomize patch.
#           A patch that names the old containers first, with nothing but their names, keeps the old order.
# Versions: k8s.io/apimachinery and k8s.io/api 0.36.5 (the API server's own merge); sigs.k8s.io/kustomize/api 0.21.1
#           does the same. Go 1.26.
# Date:     2026-11-30
# Hurt:     whoever adds a proxy by `kubectl patch` or kustomize. A proxy that is an ordinary container becomes
#           containers[0], which `kubectl logs` and `kubectl exec` take without -c, and which JSON patches such as
#           /spec/template/spec/containers/0/image then change instead of the program. A debugging or waiting init
#           container that is meant to run behind the proxy runs before the firewall rules.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'MOD'
module finding

go 1.25

require (
	k8s.io/api v0.36.5
	k8s.io/apimachinery v0.36.5
)
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

func names(list []corev1.Container) string {
	var all []string
	for _, container := range list {
		all = append(all, container.Name)
	}
	return strings.Join(all, " ")
}

func main() {
	pod := `{"spec":{"initContainers":[{"name":"migrate"}],"containers":[{"name":"web"}]}}`
	for title, patch := range map[string]string{
		"added": `{"spec":{"initContainers":[{"name":"nat"},{"name":"proxy","restartPolicy":"Always"}],"containers":[{"name":"helper"}]}}`,
		"named": `{"spec":{"initContainers":[{"name":"migrate"},{"name":"nat"}],"containers":[{"name":"web"},{"name":"helper"}]}}`,
	} {
		merged, err := strategicpatch.StrategicMergePatch([]byte(pod), []byte(patch), corev1.Pod{})
		if err != nil {
			panic(err)
		}
		var out corev1.Pod
		if err := json.Unmarshal(merged, &out); err != nil {
			panic(err)
		}
		fmt.Printf("%s: init %s; containers %s\n", title, names(out.Spec.InitContainers), names(out.Spec.Containers))
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | sort >seen

cat >expected <<'TXT'
added: init nat proxy migrate; containers helper web
named: init migrate nat; containers web helper
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
