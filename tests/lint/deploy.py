#!/usr/bin/env python3
"""Checks what docs/deploy has besides templates. It writes the plain template with docs/deploy/plain-template, for
cfn-lint. The Terraform module and the CDK example have to parse and to name every function. And it checks that a
release of this version is possible: Cargo.toml, template.yaml and CHANGELOG.md agree.

    tests/lint/deploy.py FILE      writes the plain template there
"""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import hcl2

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"


def problems():
    functions = sorted(folder.name for folder in (ROOT / "functions").iterdir() if (folder / "Cargo.toml").exists())
    for file in sorted((DEPLOY / "terraform").glob("*.tf")):
        with open(file) as text:
            module = hcl2.load(text)
        for block in module.get("locals", []):
            named = [str(name).strip('"') for name in block.get("functions", [])]
            if named and named != functions:
                yield f"{file.relative_to(ROOT)} names {named}; the functions are {functions}"
    ast.parse((DEPLOY / "cdk" / "app.py").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if subprocess.run([ROOT / ".ci" / "release", "check", f"v{version}"]).returncode != 0:
        yield f"there could be no release of {version}"


def main():
    subprocess.run([sys.executable, DEPLOY / "plain-template", sys.argv[1]], check=True)
    found = list(problems())
    print(*(f"lint: {problem}" for problem in found), sep="\n", end="\n" if found else "", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
