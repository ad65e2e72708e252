"""Answers GET, HEAD and POST over HTTP/1.1 with keep-alive: /status/503, /sleep/100 (ms), or 200."""

import http.server
import os
import time


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        _, what, *value = self.path.split("/")
        if what == "sleep":
            time.sleep(int(value[0]) / 1000)
        self.send_response(int(value[0]) if what == "status" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


Server(("127.0.0.1", int(os.environ["PORT"])), Echo).serve_forever()
