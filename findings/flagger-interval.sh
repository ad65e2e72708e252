#!/usr/bin/env bash
# Guess:    a Canary's analysis runs at the interval that is written, and an interval that cannot be read is an error.
# Seen:     intervals below 10 seconds become 10 seconds, and those that Go cannot read as a duration, such as 30sec,
#           become one minute. Nothing is returned that would tell a caller, and these types log nothing.
#           The CRD's pattern, ^[0-9]+(m|s), has no end: it lets 5s, 500ms and 30sec pass (1d and 10 it refuses).
# Versions: github.com/fluxcd/flagger 1.36.1 (its Go types, pkg/apis/flagger/v1beta1); Go 1.26.
# Date:     2026-11-30
# Hurt:     whoever writes 30sec and gets a rollout of twice the length, or shortens the interval for a demonstration or
#           an end-to-end test (10 steps of 5s take 100 seconds, not 50, and the test times out); authors of tools that
#           compute with the text of the field: their estimate of a rollout, or the window of their own queries,
#           differs from what the controller does.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'MOD'
module finding

go 1.25

require github.com/fluxcd/flagger v1.36.1
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	flagger "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
)

func main() {
	for _, interval := range []string{"500ms", "5s", "10s", "90s", "30sec", "1d", "10", ""} {
		canary := flagger.Canary{Spec: flagger.CanarySpec{Analysis: &flagger.CanaryAnalysis{Interval: interval}}}
		fmt.Printf("%q %s\n", interval, canary.GetAnalysisInterval())
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . >seen

cat >expected <<'TXT'
"500ms" 10s
"5s" 10s
"10s" 10s
"90s" 1m30s
"30sec" 1m0s
"1d" 1m0s
"10" 1m0s
"" 1m0s
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
