# Tarn on AWS Lambda: one bucket, three functions. The same as infra/sam/template.yaml; docs/deploy/aws.md says what to know about it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  bucket     = var.existing_bucket != null ? var.existing_bucket : aws_s3_bucket.data[0].id
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"
  store_arn  = "${local.bucket_arn}/${var.store_prefix}"
  tenant_arn = "${local.store_arn}/t=${var.tenant_prefix}*"

  common = merge({
    TARN_STORE        = "s3://${local.bucket}/${var.store_prefix}"
    TARN_AUTH_ENABLED = tostring(var.auth_enabled)
    TARN_LOG          = var.log_level
  }, var.environment)

  functions = {
    ingest = {
      description = "Takes pushes and events, answers once their rows are durable"
      memory      = var.ingest.memory
      # The visibility of the queue is six times this, as AWS asks.
      timeout     = 120
      tmp         = 512
      concurrency = var.ingest.concurrency
      environment = merge(
        { TARN_LAMBDA_TENANT = var.tenant },
        var.rules_object == null ? {} : { TARN_LAMBDA_RULES = "s3://${var.rules_object}" },
        local.has_firehose_key ? { TARN_FIREHOSE_ACCESS_KEY = var.firehose_access_key } : {},
      )
    }
    query = {
      description = "Answers LogQL through the API of Loki"
      memory      = var.query.memory
      timeout     = var.query.timeout
      tmp         = var.query.tmp
      concurrency = var.query.concurrency
      environment = {
        TARN_LAMBDA_RESPONSE    = var.query.response
        TARN_LAMBDA_CACHE       = "/tmp/tarn"
        TARN_LAMBDA_CACHE_BYTES = tostring(var.query.cache_bytes)
      }
    }
    compactor = {
      description = "Merges small objects into large ones, drops what is too old"
      memory      = var.compactor.memory
      timeout     = 900
      tmp         = 512
      concurrency = var.compactor.concurrency
      environment = { TARN_COMPACTOR_RETENTION_PERIOD = var.retention }
    }
  }
  # The functions behind a URL, and how each answers.
  urls = {
    ingest = "BUFFERED"
    query  = var.query.response == "stream" ? "RESPONSE_STREAM" : "BUFFERED"
  }
}

resource "aws_s3_bucket" "data" {
  count         = var.existing_bucket == null ? 1 : 0
  bucket_prefix = "${lower(var.name)}-"
  force_destroy = var.force_destroy
  tags          = var.tags
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  count  = length(aws_s3_bucket.data)
  bucket = aws_s3_bucket.data[0].id
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "data" {
  count                   = length(aws_s3_bucket.data)
  bucket                  = aws_s3_bucket.data[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "data" {
  count  = length(aws_s3_bucket.data)
  bucket = aws_s3_bucket.data[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# Not versioned: objects are written once, and what compaction deletes would be paid for twice. No rule here may delete current objects.
resource "aws_s3_bucket_lifecycle_configuration" "data" {
  count  = length(aws_s3_bucket.data)
  bucket = aws_s3_bucket.data[0].id
  rule {
    id     = "abandoned-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  # For the day that somebody switches versioning on.
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 7
    }
  }
}

resource "aws_s3_bucket_policy" "data" {
  count  = length(aws_s3_bucket.data)
  bucket = aws_s3_bucket.data[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyEncryptedConnections"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.functions
  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_days
  tags              = var.tags
}

resource "aws_lambda_function" "function" {
  for_each                       = local.functions
  function_name                  = "${var.name}-${each.key}"
  description                    = each.value.description
  role                           = aws_iam_role.function[each.key].arn
  filename                       = "${var.zips}/${each.key}.zip"
  source_code_hash               = filebase64sha256("${var.zips}/${each.key}.zip")
  runtime                        = "provided.al2023"
  architectures                  = ["x86_64"]
  handler                        = "bootstrap"
  memory_size                    = each.value.memory
  timeout                        = each.value.timeout
  reserved_concurrent_executions = each.value.concurrency
  tags                           = var.tags
  ephemeral_storage {
    size = each.value.tmp
  }
  environment {
    variables = merge(local.common, each.value.environment)
  }
  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
}

resource "aws_lambda_function_url" "function" {
  for_each           = local.urls
  function_name      = aws_lambda_function.function[each.key].function_name
  authorization_type = var.url_auth_type
  invoke_mode        = each.value
}

# A public URL needs both permissions since October 2025.
resource "aws_lambda_permission" "public_url" {
  for_each               = var.url_auth_type == "NONE" ? local.urls : {}
  statement_id           = "public-url"
  function_name          = aws_lambda_function.function[each.key].function_name
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "*"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "public_invoke" {
  for_each                 = var.url_auth_type == "NONE" ? local.urls : {}
  statement_id             = "public-invoke"
  function_name            = aws_lambda_function.function[each.key].function_name
  action                   = "lambda:InvokeFunction"
  principal                = "*"
  invoked_via_function_url = true
}

resource "aws_cloudwatch_event_rule" "compactor" {
  name                = "${var.name}-compactor"
  description         = "Starts a run of the compactor"
  schedule_expression = var.compactor.schedule
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "compactor" {
  rule = aws_cloudwatch_event_rule.compactor.name
  arn  = aws_lambda_function.function["compactor"].arn
}

resource "aws_lambda_permission" "schedule" {
  statement_id  = "schedule"
  function_name = aws_lambda_function.function["compactor"].function_name
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.compactor.arn
}

# A run that fails, or finds another one running, is made good by the next.
resource "aws_lambda_function_event_invoke_config" "compactor" {
  function_name                = aws_lambda_function.function["compactor"].function_name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
