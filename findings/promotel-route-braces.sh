#!/usr/bin/env bash
# Guess:    promotel, a bridge from Prometheus text to OTLP, keeps a series whatever its label values are.
# Seen:     a series with a closing brace in a label value disappears without an error or a warning. Values of NaN and
#           the infinities disappear as well, and an escaped backslash before an n is read as a line break.
# Versions: @platformatic/promotel 0.2.2; Node 20.
# Date:     2026-11-30
# Hurt:     whoever sends a mesh's metrics on with it. Routes are named after OpenAPI paths, rt_route="GET /books/{id}",
#           so just the routes with a parameter are missing at the collector; the totals of a service are too low and
#           its success rate is that of the other routes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @platformatic/promotel@0.2.2 >/dev/null

cat >read.mjs <<'JS'
import { parse } from '@platformatic/promotel';
const text = String.raw`# TYPE route_request_total counter
route_request_total{rt_route="GET /books"} 7
route_request_total{rt_route="GET /books/{id}"} 5
route_request_total{rt_route="GET /a,b=c"} 3
route_request_total{rt_route="C:\\new"} 2
# TYPE latency_ratio gauge
latency_ratio{rt_route="GET /books"} NaN
latency_ratio{rt_route="GET /authors"} 0.5
`;
for (const series of parse(text).timeseries) {
  const route = series.labels.find((label) => label.name === 'rt_route').value;
  console.log(JSON.stringify(route), series.samples.map((sample) => sample.value).join());
}
JS
node read.mjs >seen

cat >expected <<'TXT'
"GET /books" 7
"GET /a,b=c" 3
"C:\new" 2
"GET /authors" 0.5
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
