"""infomask from Python, with the standard library alone: Infomask().classify(open("photo.jpg", "rb").read(), top_k=3)."""
import json
import time
import urllib.error
import urllib.parse
import urllib.request


class InfomaskError(Exception):
    def __init__(self, status, body):
        problem = json.loads(body) if body[:1] == b"{" else {}  # a proxy's page is none
        super().__init__(problem.get("detail") or problem.get("error") or f"the service answered {status}")
        self.status, self.code = status, problem.get("code", "")


class Infomask:
    def __init__(self, server="http://127.0.0.1:8080", key=None, retries=4, timeout=60):
        self.server, self.key, self.retries, self.timeout = server.rstrip("/"), key, retries, timeout

    def ask(self, method, path, body=None, accept="application/json", **parameters):
        """The answer's bytes and headers; a busy service (503) is asked again when it says so."""
        url = f"{self.server}/{path}?{urllib.parse.urlencode(parameters, doseq=True)}".rstrip("?")
        headers = {"Accept": accept, "Content-Type": "application/octet-stream", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        for attempt in range(self.retries + 1):
            try:
                with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=self.timeout) as answer:
                    return answer.read(), answer.headers
            except urllib.error.HTTPError as error:
                seconds = error.headers.get("Retry-After", "")
                if error.code != 503 or not seconds.isdigit() or attempt == self.retries:
                    raise InfomaskError(error.code, error.read()) from None
                time.sleep(int(seconds))

    def json(self, method, path, body=None, **parameters):
        return json.loads(self.ask(method, path, body, **parameters)[0])

    def classify(self, photo, **parameters): return self.json("POST", "v1/classify", photo, **parameters)
    def mask(self, photo, **parameters): return self.json("POST", "v1/mask", photo, **parameters)
    def analyze(self, photo, **parameters): return self.json("POST", "v1/analyze", photo, **parameters)
    def filter(self, photo, **parameters): return self.ask("POST", "v1/filter", photo, "image/png", **parameters)
