#!/usr/bin/env bash
# Guess:    promotel turns a Prometheus histogram into an OTLP histogram with the same buckets, counted one by one.
# Seen:     the OTLP data point has a single bucket count and no bounds. It is the value of the bucket that came last
#           in the text, and all the bounds before it are gone; count and sum are right.
#           A counter whose name ends in _count becomes a histogram with a sum of 0.
# Versions: @platformatic/promotel 0.2.2; Node 20.
# Date:     2026-11-30
# Hurt:     users who read a mesh's latencies behind an OTLP collector that is fed by it: every percentile is empty or
#           one number for all routes, while request counts look right, so that the loss is found late. A canary that
#           is judged by its 99th percentile has nothing to be judged by.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @platformatic/promotel@0.2.2 >/dev/null

cat >convert.mjs <<'JS'
import { convert, parse } from '@platformatic/promotel';
const text = `# TYPE response_latency_ms histogram
response_latency_ms_bucket{le="10"} 3
response_latency_ms_bucket{le="50"} 5
response_latency_ms_bucket{le="+Inf"} 9
response_latency_ms_sum 710
response_latency_ms_count 9
# TYPE breaker_open_count counter
breaker_open_count 4
`;
const out = convert(parse(text), { serviceName: 'web' });
for (const metric of out.resource_metrics[0].scope_metrics[0].metrics) {
  const point = metric.histogram?.data_points[0];
  console.log(metric.name, Object.keys(metric).slice(1).join(), point
    ? `count=${point.count} sum=${point.sum} buckets=[${point.bucket_counts}] bounds=[${point.explicit_bounds}]` : '');
}
JS
node convert.mjs >seen

cat >expected <<'TXT'
response_latency_ms histogram count=9 sum=710 buckets=[9] bounds=[]
breaker_open histogram count=4 sum=0 buckets=[] bounds=[]
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
