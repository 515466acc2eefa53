"""docs/deploy/plain-template: what it writes deploys the same as template.yaml."""

import importlib.machinery
import importlib.util
import io
import json
import re
import unittest
import zipfile
from pathlib import Path

from embedded_aws import backends, services
from embedded_aws.stack import NAME, Stack, translate
from moto.s3.models import s3_backends

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "docs" / "deploy" / "plain-template"
FUNCTIONS = [folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir()]
CODE = {"CodeBucket": "code", "CodePrefix": "spot-handoff/0.2.0/", "Architecture": "arm64"}


def plain():
    loader = importlib.machinery.SourceFileLoader("plain_template", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("plain_template", loader))
    loader.exec_module(module)
    return module.plain()


class PlainTemplate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        services.install()
        cls.template = plain()
        cls.addClassCleanup(backends.cloudformation().delete_stack, NAME)

    def test_it_has_no_transform_and_needs_no_more_than_iam(self):
        self.assertNotIn("Transform", self.template)
        types = {resource["Type"] for resource in self.template["Resources"].values()}
        self.assertEqual(set(), {type_ for type_ in types if "Serverless" in type_})
        roles = [r["Properties"] for r in self.template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
        # Names would ask for CAPABILITY_NAMED_IAM.
        self.assertEqual([], [role for role in roles if "RoleName" in role])

    def test_it_deploys_what_the_sam_template_deploys(self):
        expected = self.described(Stack(translate(str(ROOT / "template.yaml")), {"Architecture": "arm64"}))
        backends.cloudformation().delete_stack(NAME)
        self.upload()
        self.assertEqual(expected, self.described(Stack(self.template, CODE)))
        self.assertEqual(len(FUNCTIONS), len(expected["functions"]))

    def described(self, stack):
        described = stack.describe("")
        del described["parameters"]
        # Names that CloudFormation draws end alike.
        return json.loads(re.sub(r"-[0-9A-Z]{12,13}\b", "", json.dumps(described)))

    def upload(self):
        s3 = s3_backends[backends.ACCOUNT]["aws"]
        s3.create_bucket("code", backends.REGION)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("bootstrap", "a program")
        for function in FUNCTIONS:
            s3.put_object("code", f"{CODE['CodePrefix']}{function}-arm64.zip", content.getvalue())


if __name__ == "__main__":
    unittest.main()
