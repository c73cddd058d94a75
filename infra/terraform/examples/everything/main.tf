# Every source of logs: two log groups, the access logs of load balancers by way of a queue, the files of CloudFront directly, a Kinesis stream.

module "tarn" {
  source        = "../.."
  name          = "tarn-prod"
  zips          = "../../../../target/lambda"
  store_prefix  = "logs/prod"
  retention     = "90d"
  tenant        = "prod-aws"
  tenant_prefix = "prod"
  auth_enabled  = true
  api_key       = true

  ingest    = { memory = 1769, concurrency = 50 }
  query     = { memory = 10240, timeout = 300, tmp = 4096, cache_bytes = 4000000000, response = "stream" }
  compactor = { memory = 4096, schedule = "rate(2 minutes)" }

  log_groups      = ["/aws/lambda/checkout", "/aws/rds/instance/orders/postgresql"]
  log_buckets     = { example-alb-logs = "queue", example-cloudfront-logs = "direct" }
  kinesis_streams = ["arn:aws:kinesis:eu-central-1:111122223333:stream/app-logs"]
  rules_object    = "example-config/tarn/rules.toml"
  environment     = { TARN_LIMITS_MAX_LINE_SIZE = "512KB" }

  alarm_topic_arns = ["arn:aws:sns:eu-central-1:111122223333:on-call"]
  tags             = { team = "platform" }
}

output "push_url" {
  value = "${module.tarn.ingest_url}loki/api/v1/push"
}

output "data_source_url" {
  value = trimsuffix(module.tarn.query_url, "/")
}
