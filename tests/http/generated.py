"""Clients that generators make of /openapi.json, unchanged: openapi-python-client, openapi-generator's Python and TypeScript,
openapi-typescript with openapi-fetch; and what linters say about the document.  Run by `make clients-generated`.

GENERATOR_JAR names openapi-generator-cli's jar; NODE_FOLDER the folder with the npm packages.
"""
import asyncio
import importlib
import inspect
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import ROOT

OUT = ROOT / "build" / "clients-generated"
NODE = pathlib.Path(os.environ.get("NODE_FOLDER", ROOT / "build" / "clients-node"))
JAR = os.environ.get("GENERATOR_JAR", "")
COFFEE = (ROOT / "server/web/photos/coffee.jpg").read_bytes()


def run(*command, cwd=None, fine=(0,)):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode in fine, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def document(server):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "openapi.json"
    path.write_bytes(server.ask(path="/openapi.json").body)
    return path


# ---- Linters ---------------------------------------------------------------------------------------------------------

def test_spectral(document):
    (OUT / "spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    out = run(NODE / "node_modules/.bin/spectral", "lint", "--ruleset", OUT / "spectral.yaml", "--fail-severity", "error", document)
    assert " error " not in out


def test_redocly(document):
    out = run(NODE / "node_modules/.bin/redocly", "lint", "--extends", "recommended", "--skip-rule", "security-defined", document)
    assert "valid" in out


# ---- openapi-python-client --------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def python_client(document):
    folder = OUT / "python-client"
    out = run(pathlib.Path(sys.executable).parent / "openapi-python-client", "generate", "--path", document, "--output-path", folder,
              "--overwrite", "--meta", "none", cwd=OUT)
    assert "will not be generated" not in out, out
    sys.path.insert(0, str(OUT))
    return folder.name


def test_openapi_python_client(python_client, server):
    """Classify, mask, filter, analyze, estimates."""
    run(sys.executable, "-c", f"""
import sys; sys.path.insert(0, {str(OUT / 'python-client')!r} + '/..')
import importlib, io, json
package = importlib.import_module({'python-client'!r})
client = package.Client(base_url={server.url!r}, timeout=600)
def api(tag, name): return importlib.import_module(f"{{package.__name__}}.api.{{tag}}.{{name}}")
def file(): return importlib.import_module(package.__name__ + ".types").File(io.BytesIO(open({str(ROOT / 'server/web/photos/coffee.jpg')!r}, 'rb').read()))
answer = api("inference", "classify").sync(client=client, body=file(), top_k=2)
assert answer.predictions[0].label == "espresso", answer
methods = importlib.import_module(package.__name__ + ".models")
answer = api("inference", "mask").sync(client=client, body=file(), quality=methods.MaskQuality.FAST)
assert answer.map_.rows > 3, answer
answer = api("inference", "filter_").sync_detailed(client=client, body=file(), format_=methods.FilterFormat.JSON, quality=methods.FilterQuality.FAST).parsed
assert answer.verification.pmi_before > 5 and answer.verification.verdict is not None, answer
answer = api("inference", "analyze").sync(client=client, body=file(), quality=methods.AnalyzeQuality.FAST)
assert answer.mask.area > 0
made = api("estimates", "create_estimate").sync(client=client, body=methods.EstimateRequest(name="generated"))
added = api("estimates", "add_samples").sync(made.id, client=client, body=file(), label="espresso")
assert added.accepted == 1
assert api("estimates", "get_estimate").sync(made.id, client=client).samples == 1
page = api("estimates", "list_estimates").sync(client=client, limit=1)
assert page.estimates[0].id == made.id and page.next_ is None
api("estimates", "delete_estimate").sync_detailed(made.id, client=client)
""")


# ---- openapi-generator -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def jar():
    if not JAR:
        pytest.skip("no openapi-generator-cli")
    return JAR


def test_openapi_generator_python(jar, document, server):
    folder = OUT / "generator-python"
    run("java", "-jar", jar, "generate", "-g", "python", "-i", document, "-o", folder, "--additional-properties", "packageName=infomask_api")
    run(sys.executable, "-c", f"""
import sys; sys.path.insert(0, {str(folder)!r})
import infomask_api as api
client = api.ApiClient(api.Configuration(host={server.url!r}))
photo = open({str(ROOT / 'server/web/photos/coffee.jpg')!r}, "rb").read()
inference, estimates = api.InferenceApi(client), api.EstimatesApi(client)
answer = inference.classify(photo, top_k=2)
answer = getattr(answer, "actual_instance", answer)
assert answer.predictions[0].label == "espresso"
assert inference.mask(photo, quality="fast").map.rows > 3
answer = inference.filter(photo, quality="fast", format="json")
assert getattr(answer.verification, "actual_instance", answer.verification).pmi_before > 5
assert inference.analyze(photo, quality="fast").mask.area > 0
made = estimates.create_estimate(api.EstimateRequest(name="generated"))
assert estimates.add_samples(made.id, photo, label="espresso").accepted == 1
assert estimates.get_estimate(made.id).samples == 1
page = estimates.list_estimates(limit=1, after=0)
assert page.estimates[0].id == made.id and page.next is None
estimates.delete_estimate(made.id)
""")


NODE_SCRIPT = """
import {{readFileSync}} from "node:fs";
const photo = new Blob([readFileSync({photo!r})]);
const equal = (a: any, b: any) => {{ if (a !== b) throw new Error(`${{a}} is not ${{b}}`); }};
const truth = (a: any) => {{ if (!a) throw new Error("not so"); }};
"""


def test_openapi_generator_typescript(jar, document, server):
    folder = OUT / "generator-typescript"
    run("java", "-jar", jar, "generate", "-g", "typescript-fetch", "-i", document, "-o", folder, "--additional-properties", "supportsES6=true,modelPropertyNaming=original")
    (folder / "call.ts").write_text(NODE_SCRIPT.format(photo=str(ROOT / "server/web/photos/coffee.jpg")) + f"""
import {{Configuration, InferenceApi, EstimatesApi}} from "./index";
const configuration = new Configuration({{basePath: "{server.url}"}});
const inference = new InferenceApi(configuration), estimates = new EstimatesApi(configuration);
async function main() {{
  const classes: any = await inference.classify({{body: photo, topK: 2}});
  equal(classes.predictions[0].label, "espresso");
  truth((await inference.mask({{body: photo, quality: "fast"}}) as any).map.rows > 3);
  truth((await inference.filter({{body: photo, quality: "fast", format: "json"}}) as any).verification.pmi_before > 5);
  truth((await inference.analyze({{body: photo, quality: "fast"}}) as any).mask.area > 0);
  const made = await estimates.createEstimate({{estimateRequest: {{name: "generated"}}}});
  equal((await estimates.addSamples({{id: made.id, body: photo, label: "espresso"}})).accepted, 1);
  equal((await estimates.getEstimate({{id: made.id}})).samples, 1);
  equal((await estimates.listEstimates({{limit: 1}})).next, null);
  await estimates.deleteEstimate({{id: made.id}});
}}
main().catch((error) => {{ console.error(error); process.exit(1); }});
""")
    run(NODE / "node_modules/.bin/tsc", "--outDir", folder / "js", "--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022",
        "--skipLibCheck", "--types", "node", "--typeRoots", NODE / "node_modules/@types", folder / "call.ts", fine=(0, 2))
    run("node", folder / "js" / "call.js", cwd=folder)


# ---- openapi-typescript, openapi-fetch -----------------------------------------------------------------------------------

def test_openapi_fetch(document, server):
    """The types are checked by the compiler, then the calls are made."""
    folder = NODE / "fetch"
    folder.mkdir(exist_ok=True)
    run(NODE / "node_modules/.bin/openapi-typescript", document, "-o", folder / "schema.d.ts")
    (folder / "call.ts").write_text(NODE_SCRIPT.format(photo=str(ROOT / "server/web/photos/coffee.jpg")) + f"""
import createClient from "openapi-fetch";
import type {{paths}} from "./schema.d.ts";
const client = createClient<paths>({{baseUrl: "{server.url}"}});
const form = () => {{ const data = new FormData(); data.append("image", photo); return data; }};
const sent = {{body: {{image: ""}}, bodySerializer: form}};
const json = <T,>(data: T): Exclude<T, string | undefined> => {{ if (typeof data !== "object") throw new Error("no JSON"); return data as any; }};
const classes = await client.POST("/v1/classify", {{params: {{query: {{top_k: 2}}}}, ...sent}});
if (!classes.data || !("predictions" in classes.data)) throw new Error("no classes");
equal(classes.data.predictions[0].label, "espresso");
const mask = await client.POST("/v1/mask", {{params: {{query: {{quality: "fast"}}}}, ...sent}});
truth(json(mask.data).map.rows > 3);
const filtered = await client.POST("/v1/filter", {{params: {{query: {{quality: "fast", format: "json"}}}}, ...sent}});
const reply = json(filtered.data);
if (!("verification" in reply)) throw new Error("no reply");
truth([reply.verification].flat()[0].pmi_before > 5);
const all = await client.POST("/v1/analyze", {{params: {{query: {{quality: "fast"}}}}, ...sent}});
truth(all.data!.mask.area > 0);
const made = await client.POST("/v1/estimates", {{body: {{name: "generated"}}}});
const path = {{id: made.data!.id}};
const added = await client.POST("/v1/estimates/{{id}}/samples", {{params: {{path, query: {{label: "espresso"}}}}, ...sent}});
if (!added.data || !("accepted" in added.data)) throw new Error("no samples");
equal(added.data.accepted, 1);
const read = await client.GET("/v1/estimates/{{id}}", {{params: {{path}}}});
equal(read.data!.samples, 1);
const page = await client.GET("/v1/estimates", {{params: {{query: {{limit: 1}}}}}});
equal(page.data!.estimates[0].id, path.id);
equal(page.data!.next, null);
await client.DELETE("/v1/estimates/{{id}}", {{params: {{path}}}});
const bad = await client.POST("/v1/classify", {{params: {{query: {{target: "cofee"}}}}, ...sent}});
equal(bad.error!.code, "no_such_class");
""")
    run(NODE / "node_modules/.bin/tsc", "--outDir", folder / "js", "--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022",
        "--strict", "--skipLibCheck", "--types", "node", "--allowImportingTsExtensions", "--rewriteRelativeImportExtensions", folder / "call.ts", cwd=NODE)
    run("node", folder / "js" / "call.js", cwd=NODE)
