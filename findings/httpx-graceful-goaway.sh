#!/usr/bin/env bash
# Guess:    an HTTP/2 client finishes the response it is reading when the server drains its connection with GOAWAY
#           NO_ERROR (first with the last stream 2^31-1, then with the real one), as RFC 9113 section 6.8 describes.
# Seen:     httpx and grpclib give the response up at the first GOAWAY. httpx raises
#           RemoteProtocolError(<ConnectionTerminated error_code:0 ...>), grpclib StreamTerminatedError('Connection lost').
#           Node's own client, on the same server, reads the whole response.
# Versions: httpx 0.28.1, httpcore 1.0.9, h2 4.4.1, grpclib 0.4.9; Python 3.11, Node 20.
# Date:     2026-11-30
# Hurt:     users of Python services behind a mesh. A sidecar or server that drains politely (restart, rollout, maximum
#           age of a connection) fails each response that is under way, also of requests that may not be repeated, and
#           the client sees it as an error of the transport. Retrying by policy repeats work that the server has done.
set -euo pipefail

work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet httpx==0.28.1 httpcore==1.0.9 h2==4.4.1 grpclib==0.4.9

# A draining server: half of the body, both GOAWAY frames, the other half. Paths under /t.E/ are answered as gRPC.
cat >server.mjs <<'JS'
import http2 from 'node:http2';
const server = http2.createServer();
server.on('stream', (stream, headers) => {
  const grpc = headers[':path'].startsWith('/t.E/');
  stream.on('error', () => {});
  if (grpc) stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.respond({ ':status': 200, 'content-type': grpc ? 'application/grpc' : 'text/plain' }, { waitForTrailers: grpc });
  stream.write(grpc ? Buffer.from([0, 0, 0, 0, 2, 104]) : 'first ');
  setTimeout(() => stream.session?.goaway(0, 2 ** 31 - 1), 200);
  setTimeout(() => stream.session?.goaway(0, stream.id), 400);
  setTimeout(() => stream.destroyed || stream.end(grpc ? Buffer.from([105]) : 'second'), 600);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
JS
node server.mjs >port &
server=$!
for _ in $(seq 100); do if [ -s port ]; then break; fi; sleep 0.1; done

cat >client.py <<'PY'
import asyncio, sys, httpx
from grpclib.client import Channel
from grpclib.const import Cardinality

port = int(sys.argv[1])
try:
    with httpx.Client(http1=False, http2=True) as client:
        print("httpx:", client.get(f"http://127.0.0.1:{port}/").text)
except httpx.HTTPError as error:
    print("httpx:", type(error).__name__, str(error)[:35])

class Bytes:
    SerializeToString = lambda self: b""
    FromString = staticmethod(lambda data: data)

async def call():
    channel = Channel("127.0.0.1", port)
    try:
        async with channel.request("/t.E/Say", Cardinality.UNARY_UNARY, Bytes, Bytes, timeout=5) as stream:
            await stream.send_message(Bytes(), end=True)
            print("grpclib:", await stream.recv_message())
    except Exception as error:
        print("grpclib:", type(error).__name__, error)
    channel.close()

asyncio.run(call())
PY
cat >client.mjs <<'JS'
import http2 from 'node:http2';
const session = http2.connect('http://127.0.0.1:' + process.argv[2]);
let body = '';
session.request({ ':path': '/' }).setEncoding('utf8').on('data', (part) => (body += part))
  .on('error', (error) => console.log('node:', error.message))
  .on('end', () => { console.log('node:', body); session.close(); });
JS
{ venv/bin/python client.py "$(cat port)"; node client.mjs "$(cat port)"; } >seen

cat >expected <<'TXT'
httpx: RemoteProtocolError <ConnectionTerminated error_code:0,
grpclib: StreamTerminatedError Connection lost
node: first second
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
