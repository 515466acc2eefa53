variable "release" {
  description = "Directory with the files of a release."
  type        = string
}

variable "version_id" {
  description = "Version of the release. The functions are updated when it changes."
  type        = string
}

variable "bucket" {
  description = "Bucket for the zips and the template, in the region of the stack."
  type        = string
}

variable "region" {
  description = "Region of the stack and the bucket."
  type        = string
}

variable "architecture" {
  description = "Processor of the functions."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "It is x86_64 or arm64."
  }
}

variable "stack_name" {
  description = "Name of the CloudFormation stack."
  type        = string
  default     = "spot-handoff"
}

variable "parameters" {
  description = "Parameters of the stack: docs/configuration.md."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the stack and what it makes."
  type        = map(string)
  default     = {}
}
