# What to be woken for. Each description says what it means.

locals {
  of_functions = {
    ingest-errors    = { function = "ingest", metric = "Errors", statistic = "Sum", over = 0, period = 300, periods = 1, description = "Ingestion fails. Agents and queues try again; look at the function's log." }
    ingest-throttles = { function = "ingest", metric = "Throttles", statistic = "Sum", over = 0, period = 300, periods = 1, description = "More pushes at once than the concurrency allows. Longer batches in the agents, or more concurrency." }
    ingest-duration  = { function = "ingest", metric = "Duration", statistic = "Maximum", over = 800 * local.functions.ingest.timeout, period = 300, periods = 1, description = "An event took more than 80 % of the time that ingestion has. Smaller log files or batches, or more memory." }
    # A push that is refused is an answer of the function, not an error of it.
    ingest-5xx         = { function = "ingest", metric = "Url5xxCount", statistic = "Sum", over = 0, period = 300, periods = 1, description = "Pushes are refused with 5xx. Agents keep them and try again; look at the function's log." }
    query-errors       = { function = "query", metric = "Errors", statistic = "Sum", over = 0, period = 300, periods = 1, description = "Queries end without an answer, for lack of memory or time. Look at the function's log." }
    query-throttles    = { function = "query", metric = "Throttles", statistic = "Sum", over = 0, period = 300, periods = 1, description = "More queries at once than the concurrency allows." }
    query-5xx          = { function = "query", metric = "Url5xxCount", statistic = "Sum", over = 3, period = 300, periods = 1, description = "Queries were answered with 5xx, among them 504 of those that could not end in time." }
    compactor-errors   = { function = "compactor", metric = "Errors", statistic = "Sum", over = 3, period = 900, periods = 1, description = "Compaction fails again and again. Nothing is lost, but queries get slower; look at the function's log." }
    compactor-duration = { function = "compactor", metric = "Duration", statistic = "Maximum", over = 570000, period = 1200, periods = 3, description = "For an hour runs of the compactor took all of the 10 minutes in which they begin new jobs. Longer batches in the agents, more memory, or a compactor in a container." }
  }
  of_queues = merge(
    { failed-events = aws_sqs_queue.failed_events.name },
    local.has_queue ? { dead-events = aws_sqs_queue.dead_events[0].name } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each            = var.alarms ? local.of_functions : {}
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.function[each.value.function].function_name }
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  threshold           = each.value.over
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "compactor_silence" {
  count               = var.alarms ? 1 : 0
  alarm_name          = "${var.name}-compactor-silence"
  alarm_description   = "No run of the compactor for an hour. Is its schedule on?"
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.function["compactor"].function_name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each            = var.alarms ? local.of_queues : {}
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Events that could not be ingested wait to be looked at; they are kept for 14 days."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "stream_age" {
  count               = var.alarms && length(var.kinesis_streams) > 0 ? 1 : 0
  alarm_name          = "${var.name}-stream-age"
  alarm_description   = "Records of a Kinesis stream wait for more than ten minutes."
  namespace           = "AWS/Lambda"
  metric_name         = "IteratorAge"
  dimensions          = { FunctionName = aws_lambda_function.function["ingest"].function_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 600000
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "api" {
  count               = var.alarms && var.api_key ? 1 : 0
  alarm_name          = "${var.name}-api-5xx"
  alarm_description   = "Requests through the gateway are answered with 5xx; look at the functions' logs. Queries get 504 after 29 s."
  namespace           = "AWS/ApiGateway"
  metric_name         = "5XXError"
  dimensions          = { ApiName = var.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 3
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  tags                = var.tags
}
