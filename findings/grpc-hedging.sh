#!/usr/bin/env bash
# Guess:    one gRPC service config means the same in each language, or is refused where it is not understood.
# Seen:     with a hedgingPolicy of three attempts, a failing call reaches the server three times from grpc-js and once
#           from grpcio. grpcio (grpc-go 1.85 as well, not run here) takes the policy without an error or a warning and
#           does nothing; a retryPolicy in its place gives three attempts in both.
# Versions: @grpc/grpc-js 1.14.7, grpcio 1.85.3; Node 20, Python 3.11.
# Date:     2026-11-30
# Hurt:     operators who hand out one config by DNS or by file to services in several languages: the load of the Node
#           ones multiplies (and a mesh's own retries multiply it once more), while those in Python and Go have no
#           protection at all, although the same file says so.
set -euo pipefail

work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @grpc/grpc-js@1.14.7 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet grpcio==1.85.3

cat >server.mjs <<'JS'
import http2 from 'node:http2';
const calls = {};
const server = http2.createServer();
server.on('stream', (stream, headers) => {
  const path = headers[':path'];
  stream.on('error', () => {});
  if (path === '/count') return stream.respond({ ':status': 200 }), stream.end(JSON.stringify(calls));
  calls[path] = (calls[path] || 0) + 1;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }, { endStream: true });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
JS
node server.mjs >port &
server=$!
for _ in $(seq 100); do if [ -s port ]; then break; fi; sleep 0.1; done

cat >policies.json <<'JSON'
{"retry": {"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 1,
                           "retryableStatusCodes": ["UNAVAILABLE"]}},
 "hedge": {"hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.01s", "nonFatalStatusCodes": ["UNAVAILABLE"]}}}
JSON
cat >call.mjs <<'JS'
import fs from 'node:fs';
import http2 from 'node:http2';
import grpc from '@grpc/grpc-js';
const address = '127.0.0.1:' + process.argv[2];
for (const [name, policy] of Object.entries(JSON.parse(fs.readFileSync('policies.json')))) {
  const config = JSON.stringify({ methodConfig: [{ name: [{}], ...policy }] });
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), { 'grpc.service_config': config });
  await new Promise((done) => client.makeUnaryRequest('/js/' + name, () => Buffer.alloc(0), (b) => b, {}, done));
  client.close();
}
const session = http2.connect('http://' + address);
session.request({ ':path': '/count' }).setEncoding('utf8').on('data', (text) => console.log(text)).on('close', () => session.close());
JS
cat >call.py <<'PY'
import grpc, json, sys
for name, policy in json.load(open("policies.json")).items():
    config = json.dumps({"methodConfig": [{"name": [{}], **policy}]})
    with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", [("grpc.service_config", config)]) as channel:
        try:
            channel.unary_unary("/python/" + name)(b"", timeout=5)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
PY
venv/bin/python call.py "$(cat port)" 2>warnings
timeout 30 node call.mjs "$(cat port)" >seen

cat >expected <<'TXT'
{"/python/retry":3,"/python/hedge":1,"/js/retry":3,"/js/hedge":3}
TXT
diff expected seen && ! grep -qi hedg warnings || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
