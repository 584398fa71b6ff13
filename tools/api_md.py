#!/usr/bin/env python3
"""docs/api.md from a service's own description: tools/api_md.py openapi.json > docs/api.md"""
import json
import sys

HEAD = """# The interface

Made from `/openapi.json` by `make api-md`; a running service shows the same at `/docs`, with a button to try each route.

- **A photo** is the body as it is (`curl --data-binary @photo.jpg`, `curl -T photo.jpg`), a field `image` of a form, or base64 in
  JSON: `{"image": "<base64 or data: URL>", ...parameters}`. JPEG, PNG, still WebP; the format is found from the first bytes. PUT
  means what POST means. Nothing is fetched: `url` is refused (`remote_url`).
- **Parameters** stand in the query, in the form, or beside the image in JSON. An unknown one, or a value out of range, is
  400 and names it and its range.
- **Pictures** come as PNG, unless `Accept` likes another better or `format` names it: filtered photos as JPEG or WebP (quality
  90), masks as WebP (lossless), overlays as WebP, cut-outs as WebP with their transparency. What is said of a filtered photo
  is of the very bytes. A map and a saliency have 16 bits a pixel, which only PNG holds.
- **Several images** in one request: `Accept: application/x-ndjson` answers a line of JSON each on classify, mask, filter and
  analyze, `Accept: multipart/mixed` a picture each on mask and filter. An image that is bad has its problem in its place.
- **Numbers**: every information, entropy and log-probability is in `units` (nats or bits). `pmi` beside a class is that of the
  model's own centre crop; `map.pmi`, and the mean of a map's cells, of the whole photo.
- **Refusals** are `application/problem+json` (RFC 9457) with one sentence, `detail`, and a stable word, `code`; below `/v2`
  `{"error": "..."}`. A 503 with `Retry-After` says when to come again.
- **Texts** go out as gzip to those who take it; `ETag` and `If-None-Match` save asking twice; `Server-Timing` says what took how
  long; pictures have a name in `Content-Disposition`, made of the upload's (letters beyond ASCII in `filename*`).
- **Keys**, where there are any: `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
"""


def kind(schema):
    if schema is None:
        return "bytes"
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(kind(one) for one in schema[word])
    if "allOf" in schema:
        return " and ".join(kind(one) for one in schema["allOf"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items') or {'type': 'anything'})}"
    if schema.get("format") == "binary":
        return "bytes"
    types = schema.get("type", "anything")
    return " or ".join(types) if isinstance(types, list) else types


def default(schema):
    value = schema.get("default", "")
    return value if isinstance(value, str) else json.dumps(value)


def limits(schema):
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    return f", {'…' if low is None else f'{low:.16g}'} to {'…' if high is None else f'{high:.16g}'}"


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def parameters(operation):
    rows = [one for one in operation.get("parameters", []) if one.get("in") == "query"]
    if not rows:
        return
    print("| parameter | value | default | what it does |\n|---|---|---|---|")
    for one in rows:
        schema = one["schema"]
        print(f"| `{one['name']}` | {cell(kind(schema) + limits(schema))} | {cell(default(schema))} | {cell(one.get('description', ''))} |")
    print()


def answers(document, operation):
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            continue
        types = ", ".join(f"`{name}`" + (f" ({kind(body['schema'])})" if name == "application/json" and "schema" in body else "")
                          for name, body in answer.get("content", {}).items())
        fields = [name for name in answer.get("headers", {}) if name.startswith("Infomask-")]
        print(f"- {status}: {types or 'no body'}" + (f"; {answer['description']}" if status != min(operation["responses"]) else "")
              + (f". Header fields: {', '.join(fields)}" if fields else ""))
    print()


def routes(document):
    for tag in document["tags"]:
        rows = [(path, method, operation) for path, methods in document["paths"].items() for method, operation in methods.items()
                if tag["name"] in operation["tags"]]
        print(f"\n## {tag['name'].capitalize()}\n\n{tag['description']}.\n")
        for path, method, operation in rows:
            print(f"### {method.upper()} {path}\n\n{operation['summary']}. {operation.get('description', '')}.\n")
            parameters(operation)
            answers(document, operation)


def members(schema):
    for part in schema.get("allOf", []):
        if "$ref" in part:
            yield None, part, False
        else:
            yield from members(part)
    for name, one in schema.get("properties", {}).items():
        yield name, one, name in schema.get("required", [])


def shapes(document):
    print("\n## Shapes\n")
    for name, schema in document["components"]["schemas"].items():
        rows = list(members(schema))
        print(f"### {name}\n")
        if not rows:
            print(f"{kind(schema)}\n")
            continue
        if schema.get("description"):
            print(f"{schema['description']}.\n")
        for member, one, required in rows:
            if member is None:
                print(f"- all of {kind(one)}")
            else:
                note = f": {one['description']}" if one.get("description") else ""
                print(f"- `{member}`{'' if required else ' (not always)'}: {kind(one)}{limits(one)}{note}")
        print()


def main():
    document = json.load(open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin)
    print(HEAD, end="")
    routes(document)
    shapes(document)


main()
