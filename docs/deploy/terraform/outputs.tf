output "outputs" {
  description = "Outputs of the stack: names of functions, URLs of queues, ARNs of topics."
  value       = aws_cloudformation_stack.spot_handoff.outputs
}
