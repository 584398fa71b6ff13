#!/usr/bin/env python3
"""The software bill of materials of a build, as SPDX 2.3 JSON on standard output.

    tools/sbom.py --binary FILE        the Debian packages of the libraries that the linker lists for it
    tools/sbom.py --packages FILE      packages by name, one a line

Each package is named with its version, its source and the licences that its copyright file declares.  With
SOURCE_DATE_EPOCH the same input gives the same bytes.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

# what Debian's copyright files call licences, as SPDX calls them; others are told as Debian has them
SPDX = {"expat": "MIT", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause", "zlib": "Zlib",
        "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-2+": "LGPL-2.0-or-later",
        "lgpl-3+": "LGPL-3.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only",
        "gpl-3+": "GPL-3.0-or-later", "apache-2.0": "Apache-2.0", "isc": "ISC"}
ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def owner(library):
    real = os.path.realpath(library)
    spellings = [real, library, real.replace("/usr/lib", "/lib", 1), "/usr" + real]
    for path in spellings:
        found = run("dpkg-query", "-S", path)
        if found:
            return found.split(":")[0]
    return None


def packages_of(binary):
    listed = re.findall(r"(?:=> |^\s*)(/\S+) \(0x", run("ldd", binary), re.M)
    return sorted({name for name in map(owner, listed) if name})


def licences(package):
    path = pathlib.Path("/usr/share/doc") / package / "copyright"
    text = path.read_text(errors="replace") if path.exists() else ""
    names = set()
    for line in re.findall(r"^License:\s*(.+)$", text, re.M):
        for name in re.split(r"\s+(?:or|and|and/or)\s+|,\s*", line.strip()):
            name = name.strip().rstrip(",")
            names.add(SPDX.get(name.lower(), "LicenseRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")))
    return sorted(n for n in names if n != "LicenseRef-")


def entry(package):
    fields = run("dpkg-query", "-W", "-f", "${Version}\t${source:Package}\t${source:Version}", package).split("\t")
    version, source, source_version = (fields + ["", "", ""])[:3] if fields != [""] else ("", package, "")
    declared = licences(package)
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", package),
        "name": package,
        "versionInfo": version or "NOASSERTION",
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": " AND ".join(declared) or "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": f"built from the source package {source} {source_version}".strip(),
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": f"pkg:deb/debian/{package}@{version}"}],
    }


def model(folder):
    onnx = folder / "model.onnx"
    digest = hashlib.sha256(onnx.read_bytes()).hexdigest()
    return {
        "SPDXID": f"SPDXRef-model-{folder.name}", "name": f"model {folder.name}", "versionInfo": digest[:12],
        "supplier": "NOASSERTION", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
    }


def document(packages):
    version = re.search(r'INFOMASK_VERSION "([^"]+)"', (ROOT / "core/infomask.h").read_text()).group(1)
    when = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc)
    models = [model(f) for f in sorted((ROOT / "config/models").iterdir()) if (f / "model.onnx").exists()]
    own = {"SPDXID": "SPDXRef-infomask", "name": "infomask", "versionInfo": version, "supplier": "NOASSERTION",
           "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "Apache-2.0",
           "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION"}
    parts = models + [entry(package) for package in packages]
    seed = json.dumps(parts, sort_keys=True).encode()
    declared = " ".join(part["licenseDeclared"] for part in parts)
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"infomask-{version}",
        "documentNamespace": f"urn:infomask:sbom:{version}:{hashlib.sha256(seed).hexdigest()[:32]}",
        "creationInfo": {"created": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: infomask-sbom"]},
        "packages": [own] + parts,
        "hasExtractedLicensingInfos": [
            {"licenseId": name, "extractedText": "as the copyright file of the package tells", "name": name[len("LicenseRef-"):]}
            for name in sorted(set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", declared)))],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": "SPDXRef-infomask"}] +
                         [{"spdxElementId": "SPDXRef-infomask", "relatedSpdxElement": part["SPDXID"],
                           "relationshipType": "CONTAINS" if part in models else "DYNAMIC_LINK"} for part in parts],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--binary")
    group.add_argument("--packages")
    options = parser.parse_args()
    names = packages_of(options.binary) if options.binary else pathlib.Path(options.packages).read_text().split()
    json.dump(document(names), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
