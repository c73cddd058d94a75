# Where logs come from besides the URL.

locals {
  queued_buckets = toset([for bucket, via in var.log_buckets : bucket if via == "queue"])
  direct_buckets = toset([for bucket, via in var.log_buckets : bucket if via == "direct"])
  has_queue      = var.event_queue || contains(values(var.log_buckets), "queue")
}

# Events that three tries could not ingest, with the reason.
resource "aws_sqs_queue" "failed_events" {
  name                      = "${var.name}-failed-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

# Of CloudWatch Logs, S3 and SNS, which do not wait for the outcome: two more tries, then the event is kept.
resource "aws_lambda_function_event_invoke_config" "ingest" {
  function_name                = aws_lambda_function.function["ingest"].function_name
  maximum_event_age_in_seconds = 21600
  maximum_retry_attempts       = 2
  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed_events.arn
    }
  }
}

resource "aws_lambda_permission" "log_group" {
  for_each       = var.log_groups
  statement_id   = "log-group-${md5(each.key)}"
  function_name  = aws_lambda_function.function["ingest"].function_name
  action         = "lambda:InvokeFunction"
  principal      = "logs.amazonaws.com"
  source_account = local.account
  source_arn     = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${each.key}:*"
}

resource "aws_cloudwatch_log_subscription_filter" "log_group" {
  for_each        = var.log_groups
  name            = var.name
  log_group_name  = each.key
  filter_pattern  = ""
  destination_arn = aws_lambda_function.function["ingest"].arn
  depends_on      = [aws_lambda_permission.log_group]
}

resource "aws_sqs_queue" "dead_events" {
  count                     = local.has_queue ? 1 : 0
  name                      = "${var.name}-dead-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue" "events" {
  count                      = local.has_queue ? 1 : 0
  name                       = "${var.name}-events"
  visibility_timeout_seconds = 6 * local.functions.ingest.timeout
  message_retention_seconds  = 345600
  sqs_managed_sse_enabled    = true
  redrive_policy             = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_events[0].arn, maxReceiveCount = 5 })
  tags                       = var.tags
}

resource "aws_sqs_queue_policy" "events" {
  count     = length(local.queued_buckets) > 0 ? 1 : 0
  queue_url = aws_sqs_queue.events[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.events[0].arn
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = [for bucket in local.queued_buckets : "arn:${local.partition}:s3:::${bucket}"] }
      }
    }]
  })
}

resource "aws_lambda_event_source_mapping" "events" {
  count                   = local.has_queue ? 1 : 0
  function_name           = aws_lambda_function.function["ingest"].arn
  event_source_arn        = aws_sqs_queue.events[0].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 10
  }
}

resource "aws_lambda_permission" "log_bucket" {
  for_each       = local.direct_buckets
  statement_id   = "log-bucket-${md5(each.key)}"
  function_name  = aws_lambda_function.function["ingest"].function_name
  action         = "lambda:InvokeFunction"
  principal      = "s3.amazonaws.com"
  source_account = local.account
  source_arn     = "arn:${local.partition}:s3:::${each.key}"
}

resource "aws_s3_bucket_notification" "log_bucket" {
  for_each = var.log_buckets
  bucket   = each.key
  dynamic "queue" {
    for_each = each.value == "queue" ? [1] : []
    content {
      queue_arn = aws_sqs_queue.events[0].arn
      events    = ["s3:ObjectCreated:*"]
    }
  }
  dynamic "lambda_function" {
    for_each = each.value == "direct" ? [1] : []
    content {
      lambda_function_arn = aws_lambda_function.function["ingest"].arn
      events              = ["s3:ObjectCreated:*"]
    }
  }
  depends_on = [aws_sqs_queue_policy.events, aws_lambda_permission.log_bucket]
}

resource "aws_lambda_event_source_mapping" "stream" {
  for_each                           = var.kinesis_streams
  function_name                      = aws_lambda_function.function["ingest"].arn
  event_source_arn                   = each.key
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 10
  function_response_types            = ["ReportBatchItemFailures"]
  # One bad record must not hold up its shard for ever: halve the batch, then keep what is left where it can be looked at.
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = 10
  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.failed_events.arn
    }
  }
}
