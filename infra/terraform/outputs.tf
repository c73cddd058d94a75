output "ingest_url" {
  description = "Where agents push; append loki/api/v1/push."
  value       = aws_lambda_function_url.function["ingest"].function_url
}

output "query_url" {
  description = "Loki data source of Grafana, without the slash at its end."
  value       = aws_lambda_function_url.function["query"].function_url
}

output "api_url" {
  description = "One address for agents and Grafana, with the key in x-api-key; null without one."
  value       = one([for stage in aws_api_gateway_stage.api : stage.invoke_url])
}

output "api_key" {
  description = "The key for api_url; null without one."
  value       = one([for key in aws_api_gateway_api_key.api : key.value])
  sensitive   = true
}

output "bucket" {
  description = "Where everything is."
  value       = local.bucket
}

output "store" {
  description = "For tarn --store."
  value       = local.common.TARN_STORE
}

output "function_names" {
  description = "Names of the functions by role."
  value       = { for role, function in aws_lambda_function.function : role => function.function_name }
}

output "failed_events_url" {
  description = "Queue of the events that could not be ingested."
  value       = aws_sqs_queue.failed_events.url
}

output "events_url" {
  description = "Queue whose messages are ingested; null without one."
  value       = one(aws_sqs_queue.events[*].url)
}
