#!/usr/bin/env python3
"""spot-handoff by the AWS CDK: the plain template of a release, taken in by CfnInclude, and the zips as an asset.

    pip install aws-cdk-lib
    RELEASE=./release cdk deploy --app "python3 docs/deploy/cdk/app.py"

Unpack a release into RELEASE first. The CDK uploads the zips by their hash, so a new release updates the functions.
"""

import os
import sys
from pathlib import Path

from aws_cdk import App, Stack, Tags
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as assets
from aws_cdk import cloudformation_include as include
from constructs import Construct

RELEASE = Path(os.environ.get("RELEASE", "release"))
ARCHITECTURE = "x86_64"
# Parameters of the stack: docs/configuration.md.
PARAMETERS = {"DryRun": "true", "AlarmEmail": "on-call@example.com"}


class SpotHandoff(Stack):
    def __init__(self, scope: Construct, name: str, **more) -> None:
        super().__init__(scope, name, **more)
        template = include.CfnInclude(
            self,
            "Template",
            template_file=str(RELEASE / "spot-handoff.template.json"),
            parameters={**PARAMETERS, "Architecture": ARCHITECTURE, "CodeBucket": "assets", "CodePrefix": ""},
        )
        for zip_ in sorted(RELEASE.glob(f"*-{ARCHITECTURE}.zip")):
            function = zip_.name.removesuffix(f"-{ARCHITECTURE}.zip")
            asset = assets.Asset(self, function, path=str(zip_))
            # The template names its functions in CamelCase.
            resource = template.get_resource("".join(word.capitalize() for word in function.split("-")))
            assert isinstance(resource, lambda_.CfnFunction)
            resource.code = lambda_.CfnFunction.CodeProperty(s3_bucket=asset.s3_bucket_name, s3_key=asset.s3_object_key)


if not (RELEASE / "spot-handoff.template.json").exists():
    sys.exit(f"{RELEASE} has no spot-handoff.template.json: unpack a release there, or set RELEASE")
app = App()
stack = SpotHandoff(app, "spot-handoff")
Tags.of(stack).add("version", os.environ.get("VERSION", "0.2.0"))
app.synth()
