"""An agent in a process of its own that traces itself and exports over OTLP/HTTP before it answers.

Prints its port. The traces go where the environment says, as with any program that uses OpenTelemetry.
"""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("remote")


class Agent(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context = propagate.extract(dict(self.headers.items()))
        with tracer.start_as_current_span("handle", context=context), tracer.start_as_current_span("lookup") as span:
            span.set_attribute("table", 12)
            span.set_attribute("asked", body["messages"][-1]["content"])
        traced = "traceparent" in self.headers
        message = {"role": "assistant", "content": "traced" if traced else "not traced"}
        answer = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Agent)
print(server.server_address[1], flush=True)
server.serve_forever()
