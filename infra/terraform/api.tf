# One address with a key before both functions, since agents and Grafana can send a header but cannot sign.

locals {
  api = var.api_key ? { (var.name) = true } : {}
  to_function = { for role in keys(local.urls) : role => {
    type       = "aws_proxy"
    httpMethod = "POST"
    uri        = aws_lambda_function.function[role].invoke_arn
  } }
  with_key = [{ key = [] }]
  proxy    = [{ name = "proxy", in = "path", required = true, schema = { type = "string" } }]
  # Whether there is a key is no secret.
  has_firehose_key = nonsensitive(var.firehose_access_key != null)
  api_paths = merge(
    { for path in ["/loki/api/v1/push", "/api/prom/push", "/otlp/v1/logs", "/tarn/api/v1/push"] : path => {
      post = { security = local.with_key, "x-amazon-apigateway-integration" = local.to_function.ingest }
    } },
    # Agents that speak to Elasticsearch ask before they send.
    { for path, parameters in { "/elasticsearch" = [], "/elasticsearch/{proxy+}" = local.proxy } : path => { "x-amazon-apigateway-any-method" = {
      security                          = local.with_key
      parameters                        = parameters
      "x-amazon-apigateway-integration" = local.to_function.ingest
    } } },
    # Firehose brings its own key, which the function asks for.
    local.has_firehose_key ? { "/aws/firehose" = { post = { "x-amazon-apigateway-integration" = local.to_function.ingest } } } : {},
    { "/{proxy+}" = { "x-amazon-apigateway-any-method" = {
      security                          = local.with_key
      parameters                        = local.proxy
      "x-amazon-apigateway-integration" = local.to_function.query
    } } },
  )
}

resource "aws_api_gateway_rest_api" "api" {
  for_each = local.api
  name     = var.name
  # Bodies are protobuf with snappy, or gzip: without this they would be taken for text.
  binary_media_types = ["*/*"]
  tags               = var.tags
  endpoint_configuration {
    types = ["REGIONAL"]
  }
  body = jsonencode({
    openapi    = "3.0.1"
    info       = { title = var.name, version = "1" }
    components = { securitySchemes = { key = { type = "apiKey", name = "x-api-key", in = "header" } } }
    paths      = local.api_paths
  })
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_deployment" "api" {
  for_each    = local.api
  rest_api_id = aws_api_gateway_rest_api.api[each.key].id
  triggers    = { body = sha1(aws_api_gateway_rest_api.api[each.key].body) }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "api" {
  for_each      = local.api
  rest_api_id   = aws_api_gateway_rest_api.api[each.key].id
  deployment_id = aws_api_gateway_deployment.api[each.key].id
  stage_name    = "tarn"
  tags          = var.tags
}

resource "aws_api_gateway_api_key" "api" {
  for_each = local.api
  name     = var.name
  tags     = var.tags
}

resource "aws_api_gateway_usage_plan" "api" {
  for_each = local.api
  name     = var.name
  tags     = var.tags
  api_stages {
    api_id = aws_api_gateway_rest_api.api[each.key].id
    stage  = aws_api_gateway_stage.api[each.key].stage_name
  }
}

resource "aws_api_gateway_usage_plan_key" "api" {
  for_each      = local.api
  key_id        = aws_api_gateway_api_key.api[each.key].id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.api[each.key].id
}

resource "aws_lambda_permission" "api" {
  for_each      = var.api_key ? local.urls : {}
  statement_id  = "api"
  function_name = aws_lambda_function.function[each.key].function_name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.api[var.name].execution_arn}/*/*/*"
}
