# spot-handoff by Terraform: the plain template and the zips of a release go into a bucket, and CloudFormation makes the
# stack of them. Unpack a release into `release`, and call this module once for each region:
#
#   module "spot_handoff" {
#     source     = "./docs/deploy/terraform"
#     release    = "./release"
#     version_id = "0.2.0"
#     bucket     = "my-artifacts-eu-central-1"
#     region     = "eu-central-1"
#     parameters = { DryRun = "true", AlarmEmail = "on-call@example.com" }
#   }

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  prefix    = "spot-handoff/${var.version_id}/"
  functions = ["announce-hand-offs", "deregister-targets", "drain-tasks", "replace-capacity", "run-commands"]
  zips      = [for function in local.functions : "${function}-${var.architecture}.zip"]
}

resource "aws_s3_object" "zip" {
  for_each = toset(local.zips)

  bucket      = var.bucket
  key         = "${local.prefix}${each.key}"
  source      = "${var.release}/${each.key}"
  source_hash = filesha256("${var.release}/${each.key}")
}

# It is larger than what goes along with a request.
resource "aws_s3_object" "template" {
  bucket      = var.bucket
  key         = "${local.prefix}spot-handoff.template.json"
  source      = "${var.release}/spot-handoff.template.json"
  source_hash = filesha256("${var.release}/spot-handoff.template.json")
}

resource "aws_cloudformation_stack" "spot_handoff" {
  name         = var.stack_name
  template_url = "https://${var.bucket}.s3.${var.region}.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM"]
  tags         = var.tags

  parameters = merge(var.parameters, {
    Architecture = var.architecture
    CodeBucket   = var.bucket
    CodePrefix   = local.prefix
  })

  depends_on = [aws_s3_object.zip]
}
