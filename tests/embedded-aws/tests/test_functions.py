import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from .aws import WorldTest, ask


class Functions(BaseHTTPRequestHandler):
    """Runs functions: answers with what it was given, and calls the AWS that called it."""

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ask("GET", f"{given['world']}/_embedded/state")
        self.send_response(200)
        if given.get("fails"):
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.end_headers()
        self.wfile.write(json.dumps({"path": self.path}).encode())

    def log_message(self, *args):
        pass


class Invoke(WorldTest):
    def setUp(self):
        super().setUp()
        self.functions = self.client("lambda")
        self.name = self.get("stack")["functions"][0]["name"]

    def run_functions(self):
        server = HTTPServer(("127.0.0.1", 0), Functions)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.post("functions", {"url": f"http://127.0.0.1:{server.server_port}"})

    def invoke(self, **payload):
        payload = json.dumps({"world": self.url, **payload})
        return self.functions.invoke(FunctionName=self.name, Payload=payload)

    def test_a_function_runs_where_functions_run_and_may_call_aws_meanwhile(self):
        self.run_functions()
        answer = self.invoke()
        self.assertNotIn("FunctionError", answer)
        self.assertEqual(json.load(answer["Payload"]), {"path": f"/{self.name}"})

    def test_a_failure_is_told_by_a_header(self):
        self.run_functions()
        self.assertEqual(self.invoke(fails=True)["FunctionError"], "Unhandled")

    def test_without_functions_or_with_an_unknown_name_it_is_refused(self):
        self.assert_refused("ServiceException", "no functions run", self.invoke)
        self.name = "nobody"
        self.assert_refused("ResourceNotFoundException", "nobody", self.invoke)
