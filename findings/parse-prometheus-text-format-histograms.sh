#!/usr/bin/env bash
# Guess:    parse-prometheus-text-format gives one entry for each labelled histogram, as prom2json does, whose output
#           its README says that it aims at.
# Seen:     all histograms of a family fall into one entry without labels. Its buckets are those of the last series;
#           count and sum are absent unless some series has no labels. Counters keep theirs. Summaries fare likewise.
# Versions: parse-prometheus-text-format 1.1.1; Node 20.
# Date:     2026-11-30
# Hurt:     users of dashboards and test tools that read a proxy's latencies with it (it is fetched about 240,000 times
#           a month): they show the latency of whichever route or service came last as that of all, with no error.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund parse-prometheus-text-format@1.1.1 >/dev/null

cat >read.cjs <<'JS'
const parser = require('parse-prometheus-text-format');
const text = `# TYPE latency_ms histogram
latency_ms_bucket{dst="books",le="10"} 900
latency_ms_bucket{dst="books",le="+Inf"} 1000
latency_ms_sum{dst="books"} 12000
latency_ms_count{dst="books"} 1000
latency_ms_bucket{dst="authors",le="10"} 1
latency_ms_bucket{dst="authors",le="+Inf"} 2
latency_ms_sum{dst="authors"} 60
latency_ms_count{dst="authors"} 2
# TYPE wait_ms summary
wait_ms{dst="books",quantile="0.5"} 3
wait_ms_sum{dst="books"} 12
wait_ms_count{dst="books"} 4
wait_ms{dst="authors",quantile="0.5"} 9
wait_ms_sum{dst="authors"} 18
wait_ms_count{dst="authors"} 2
# TYPE requests_total counter
requests_total{dst="books"} 1000
requests_total{dst="authors"} 2
`;
for (const family of (parser.default || parser)(text)) console.log(family.name, JSON.stringify(family.metrics));
JS
node read.cjs >seen

cat >expected <<'TXT'
latency_ms [{"buckets":{"10":"1","+Inf":"2"}}]
wait_ms [{"quantiles":{"0.5":"9"}}]
requests_total [{"value":"1000","labels":{"dst":"books"}},{"value":"2","labels":{"dst":"authors"}}]
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
