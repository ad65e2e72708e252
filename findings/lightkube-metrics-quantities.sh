#!/usr/bin/env bash
# Guess:    lightkube's parse_quantity reads every quantity that a Kubernetes API server gives out.
# Seen:     the suffixes n and u are refused, and so is an exponent written with a capital E. The metrics API reports
#           the CPU time of pods in n as a rule ("1527312n"), so reading the usage of a pod fails.
# Versions: lightkube 1.0.1; Python 3.11.
# Date:     2026-12-01
# Hurt:     Python operators and autoscalers that compare what pods use, such as a proxy beside its application, with
#           their requests: the program raises on the first pod that is not idle.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install lightkube==1.0.1

cat >read.py <<'PY'
from lightkube.utils.quantity import parse_quantity

for text in ["100m", "1Ki", "12e6", "1527312n", "350u", "2E3"]:
    try:
        print(text, parse_quantity(text))
    except ValueError as error:
        print(text, "refused:", error)
PY
venv/bin/python read.py >seen

cat >expected <<'TXT'
100m 0.100
1Ki 1024.000
12e6 12000000.000
1527312n refused: Invalid unit suffix: n
350u refused: Invalid unit suffix: u
2E3 refused: Invalid unit suffix: E3
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
