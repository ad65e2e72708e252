#!/usr/bin/env bash
# Guess:    a gRPC-web client that gets HTTP 503 or 504 from a proxy, without a gRPC status, reports UNAVAILABLE (14), as
#           gRPC's mapping of HTTP statuses says, so that its retries apply.
# Seen:     nice-grpc-web reports UNKNOWN (2) for every such answer. The right code is only in the text: its own
#           transport finds UNAVAILABLE or PERMISSION_DENIED, and its caller wraps that error as "Transport error".
#           connect-web, on the same server, reports 14 for 503, 504 and 429, and 7 for 403.
# Versions: nice-grpc-web 3.3.11, @connectrpc/connect-web 2.1.2; Node 20.
# Date:     2026-11-30
# Hurt:     users of browser programs behind a mesh or an ingress. A policy that repeats UNAVAILABLE never applies to
#           what a proxy answers when a service has no endpoints or took too long; a 403 by policy cannot be told
#           from a fault; error counts by code show UNKNOWN for all of them.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund nice-grpc-web@3.3.11 ws@8 \
  @connectrpc/connect@2.1.2 @connectrpc/connect-web@2.1.2 @bufbuild/protobuf@2 >/dev/null

cat >call.mjs <<'JS'
import http from 'node:http';
import { createClient as connectClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { createFileRegistry, create } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { createChannel, createClient, FetchTransport } from 'nice-grpc-web';

const proxy = http.createServer((request, response) => {
  response.writeHead(Number(request.url.split('/')[1]), { 'content-type': 'text/plain' });
  request.resume().on('end', () => response.end('from the proxy'));
});
await new Promise((done) => proxy.listen(0, '127.0.0.1', done));

const definition = { say: { path: '/t.E/Say', requestStream: false, responseStream: false, options: {},
  requestSerialize: () => new Uint8Array(), requestDeserialize: (b) => b,
  responseSerialize: () => new Uint8Array(), responseDeserialize: (b) => b } };
const file = create(FileDescriptorProtoSchema, { name: 'e.proto', package: 't', syntax: 'proto3',
  messageType: [{ name: 'M' }],
  service: [{ name: 'E', method: [{ name: 'Say', inputType: '.t.M', outputType: '.t.M' }] }] });
const service = createFileRegistry(file, () => undefined).getService('t.E');

for (const status of [503, 504, 429, 403]) {
  const baseUrl = `http://127.0.0.1:${proxy.address().port}/${status}`;
  const nice = await createClient(definition, createChannel(baseUrl, FetchTransport())).say({}).catch((e) => e);
  const connect = await connectClient(service, createGrpcWebTransport({ baseUrl })).say({}).catch((e) => e);
  console.log(status, 'nice-grpc-web', nice.code, nice.details.match(/[A-Z_]{5,}/)[0], 'connect-web', connect.code);
}
proxy.close();
proxy.closeAllConnections();
JS
timeout 60 node call.mjs >seen

cat >expected <<'TXT'
503 nice-grpc-web 2 UNAVAILABLE connect-web 14
504 nice-grpc-web 2 UNAVAILABLE connect-web 14
429 nice-grpc-web 2 UNAVAILABLE connect-web 14
403 nice-grpc-web 2 PERMISSION_DENIED connect-web 7
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
