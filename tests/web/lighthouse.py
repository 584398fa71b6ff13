"""Lighthouse of the page and the reference, as a desktop and as a phone.  make test-lighthouse

Accessibility and best practices must be 100.  Performance is a matter of the machine, too: PERFORMANCE=95 asserts it.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

BINARY, LIGHTHOUSE = os.environ["INFOMASK_BIN"], os.environ["LIGHTHOUSE"]
PERFORMANCE = float(os.environ.get("PERFORMANCE") or 0)
MUST = {"accessibility": 100, "best-practices": 100, "performance": PERFORMANCE}


def look(url, form):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [LIGHTHOUSE, url, "--quiet", "--output=json", f"--output-path={report.name}", "--only-categories=" + ",".join(MUST),
                   "--chrome-flags=--headless --no-sandbox --disable-gpu"] + (["--preset=desktop"] if form == "desktop" else [])
        subprocess.run(command, check=True, timeout=600, env={"CHROME_PATH": "/usr/bin/chromium", **os.environ})
        return json.load(open(report.name, encoding="utf-8"))


def lost(report, category):
    """What cost points, by name."""
    for row in report["categories"][category]["auditRefs"]:
        audit = report["audits"][row["id"]]
        if row["weight"] and audit["score"] is not None and audit["score"] < 1:
            yield f"{row['id']} {audit.get('displayValue') or audit['score']}"


def main():
    fine = True
    with tempfile.TemporaryDirectory() as state:
        server = subprocess.Popen([BINARY, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  env={**os.environ, "STATE_DIRECTORY": state})
        try:
            url = re.search(r"listening on (\S+)", server.stdout.readline())[1]
            for page in ("/", "/docs"):
                for form in ("desktop", "phone"):
                    report = look(url + page, form)
                    points = {name: round(100 * report["categories"][name]["score"]) for name in MUST}
                    print(page, form, points, *(word for name in MUST for word in lost(report, name)), sep="  ", flush=True)
                    fine &= all(points[name] >= least for name, least in MUST.items())
        finally:
            server.terminate()
            server.wait()
    sys.exit(0 if fine else 1)


main()
