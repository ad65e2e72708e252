#!/usr/bin/env bash
# Guess:    a client may say that it opens no more streams (GOAWAY with NO_ERROR, as Node's session.close() sends it)
#           and still gets the rest of the response it waits for.
# Seen:     hypercorn stops sending at that GOAWAY and ends the connection. The client got the status 200 and the first
#           part of the body, then an ordinary end: Node reports 'end' and no error, so the short body looks complete.
#           granian, another ASGI server, serves the same program's response whole.
# Versions: hypercorn 0.18.0 with h2 4.4.1, granian 2.8.9; Python 3.11, Node 20.
# Date:     2026-11-30
# Hurt:     users of Python services on hypercorn behind a proxy that closes its upstream connections politely: on
#           reload, when an endpoint leaves, at a connection's maximum age. Streams and long responses are cut with a
#           success status, so neither retries nor success rates notice it.
set -euo pipefail

work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet hypercorn==0.18.0 h2==4.4.1 granian==2.8.9

cat >app.py <<'PY'
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"first ", "more_body": True})
    await asyncio.sleep(0.6)
    await send({"type": "http.response.body", "body": b"second"})
PY
read -r port1 port2 < <(python3 -c '
import socket
a, b = socket.socket(), socket.socket()
for s in (a, b): s.bind(("127.0.0.1", 0))
print(a.getsockname()[1], b.getsockname()[1])')
venv/bin/hypercorn --bind "127.0.0.1:$port1" app:app >hypercorn.log 2>&1 &
servers+=($!)
venv/bin/granian --interface asgi --http 2 --host 127.0.0.1 --port "$port2" app:app >granian.log 2>&1 &
servers+=($!)
for port in "$port1" "$port2"; do
  for _ in $(seq 100); do
    if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.2
  done
done

cat >client.mjs <<'JS'
import http2 from 'node:http2';
const [hypercorn, granian] = process.argv.slice(2);
const get = (port, closeEarly) => new Promise((done) => {
  const session = http2.connect('http://127.0.0.1:' + port);
  session.on('error', () => {});
  let body = '', status, ending = 'no end';
  const request = session.request({ ':path': '/' });
  request.setEncoding('utf8');
  request.on('response', (head) => { status = head[':status']; if (closeEarly) session.close(); });
  request.on('data', (part) => (body += part));
  request.on('end', () => (ending = 'end'));
  request.on('error', (error) => (ending = error.message));
  request.on('close', () => { session.close(); done(`${status} "${body}" ${ending}`); });
});
for (const [name, port] of [['hypercorn', hypercorn], ['granian', granian]])
  for (const early of [false, true])
    console.log(name + (early ? ' after GOAWAY:' : ':'), await get(port, early));
JS
timeout 30 node client.mjs "$port1" "$port2" >seen

cat >expected <<'TXT'
hypercorn: 200 "first second" end
hypercorn after GOAWAY: 200 "first " end
granian: 200 "first second" end
granian after GOAWAY: 200 "first second" end
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
