#!/usr/bin/env bash
# Guess:    protobuf-ts's gRPC-web transport gives the message of an error as the server wrote it, and maps the HTTP
#           statuses of a proxy to the codes of gRPC's own table (429, 502, 503 and 504: UNAVAILABLE).
# Seen:     grpc-message stays percent-encoded, as it is on the wire, in the body's trailers and in headers alike.
#           A 504 becomes DEADLINE_EXCEEDED and a 429 RESOURCE_EXHAUSTED, where gRPC's table says UNAVAILABLE for both.
# Versions: @protobuf-ts/grpcweb-transport 2.11.1; Node 20.
# Date:     2026-11-30
# Hurt:     users of browser programs: they read "no%20endpoints%20for%20web%3A80". Rules that go by code differ between
#           this client and the others: with one retry policy for UNAVAILABLE, a proxy's 504 or 429 is repeated by
#           connect-web, grpc-go and the C core, and not by this one.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund \
  @protobuf-ts/grpcweb-transport@2.11.1 @protobuf-ts/runtime@2.11.1 @protobuf-ts/runtime-rpc@2.11.1 >/dev/null

cat >call.mjs <<'JS'
import http from 'node:http';
import { GrpcWebFetchTransport } from '@protobuf-ts/grpcweb-transport';
import { MessageType } from '@protobuf-ts/runtime';
import { ServiceType } from '@protobuf-ts/runtime-rpc';

const web = { 'content-type': 'application/grpc-web+proto' };
const said = 'no%20endpoints%20for%20web%3A80';
const trailers = (text) => Buffer.concat([Buffer.from([128, 0, 0, 0, text.length]), Buffer.from(text)]);
const proxy = http.createServer((request, response) => {
  const answer = request.url.split('/')[1];
  request.resume().on('end', () => {
    if (answer === 'trailers') response.writeHead(200, web).end(trailers(`grpc-status:14\r\ngrpc-message:${said}\r\n`));
    else if (answer === 'headers') response.writeHead(200, { ...web, 'grpc-status': '14', 'grpc-message': said }).end();
    else response.writeHead(Number(answer), { 'content-type': 'text/plain' }).end('from the proxy');
  });
});
await new Promise((done) => proxy.listen(0, '127.0.0.1', done));

const M = new MessageType('t.M', []);
const E = new ServiceType('t.E', [{ name: 'Say', options: {}, I: M, O: M }]);
for (const answer of ['trailers', 'headers', '503', '504', '429']) {
  const transport = new GrpcWebFetchTransport({ baseUrl: `http://127.0.0.1:${proxy.address().port}/${answer}`, format: 'binary' });
  const error = await transport.unary(E.methods[0], {}, transport.mergeOptions()).then((r) => r.status, (e) => e);
  console.log(answer, error.code, error.message);
}
proxy.close();
proxy.closeAllConnections();
JS
timeout 60 node call.mjs >seen

cat >expected <<'TXT'
trailers UNAVAILABLE no%20endpoints%20for%20web%3A80
headers UNAVAILABLE no%20endpoints%20for%20web%3A80
503 UNAVAILABLE Service Unavailable
504 DEADLINE_EXCEEDED Gateway Timeout
429 RESOURCE_EXHAUSTED Too Many Requests
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
