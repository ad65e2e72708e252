#!/usr/bin/env bash
# Guess:    sonora, a gRPC-web client for Python, turns a proxy's HTTP 503 or an answer without trailers into
#           an error that is a grpc.RpcError.
# Seen:     it never looks at the HTTP status. A 503 or 429 with an empty body is a success whose value is None; with a
#           text body, the text is read as gRPC frames, and protobuf's DecodeError comes out, which is no RpcError.
#           A message without the trailers that hold its status is a success. A proper error with trailers is raised.
# Versions: sonora 0.2.3; Python 3.11.
# Date:     2026-11-30
# Hurt:     users of Python programs that call through a mesh or an ingress: a refusal by rate limit, policy or lack of
#           endpoints reads as success or escapes `except grpc.RpcError`; answers that were cut before their status
#           are taken for whole.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet sonora==0.2.3 grpcio==1.85.3 protobuf

cat >call.py <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc, sonora.client
from google.protobuf.wrappers_pb2 import StringValue

data = b"\x00\x00\x00\x00\x04\x0a\x02hi"
def trailers(text): return b"\x80" + len(text).to_bytes(4, "big") + text
web = "application/grpc-web+proto"
answers = {
    "whole": (200, web, data + trailers(b"grpc-status:0\r\n")),
    "failed": (200, web, trailers(b"grpc-status:14\r\ngrpc-message:no endpoints\r\n")),
    "503, text": (503, "text/plain", b"no endpoints"),
    "503, empty": (503, "text/plain", b""),
    "429, empty": (429, "text/plain", b""),
    "no trailers": (200, web, data),
}

class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, body = answers[self.headers["x-answer"]]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
for name in answers:
    with sonora.client.insecure_web_channel(f"http://127.0.0.1:{proxy.server_port}/") as channel:
        say = channel.unary_unary("/t.E/Say", StringValue.SerializeToString, StringValue.FromString)
        try:
            result = say(StringValue(), metadata=[("x-answer", name)])
            print(f"{name}: success {result.value if result else result}")
        except grpc.RpcError as error:
            print(f"{name}: RpcError {error.code().name}")
        except Exception as error:
            print(f"{name}: {type(error).__name__}")
PY
timeout 60 venv/bin/python call.py >seen

cat >expected <<'TXT'
whole: success hi
failed: RpcError UNAVAILABLE
503, text: DecodeError
503, empty: success None
429, empty: success None
no trailers: success hi
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
