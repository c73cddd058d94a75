# What each function may do, and nothing else.
# s3:ListBucket is needed by all: without it S3 answers 403 where an object is missing, and a HEAD that must tell "not written" from "not allowed" cannot.
# s3:prefix is absent from such a HEAD or GET, hence IfExists.

locals {
  key_statements = var.kms_key_arn == null ? [] : [
    { Sid = "UseKey", Effect = "Allow", Action = ["kms:GenerateDataKey", "kms:Decrypt"], Resource = [var.kms_key_arn] },
  ]
  listed = {
    ingest    = "${var.store_prefix}/*"
    query     = "${var.store_prefix}/t=${var.tenant_prefix}*"
    compactor = "${var.store_prefix}/*"
  }
  own_statements = {
    ingest = concat(
      [
        # The second action for the HEAD that tells whether a PUT without an answer was carried out.
        { Sid = "AppendChunks", Effect = "Allow", Action = ["s3:PutObject", "s3:GetObject"], Resource = ["${local.tenant_arn}/l0/*"] },
        { Sid = "KeepFailedEvents", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = [aws_sqs_queue.failed_events.arn] },
      ],
      var.rules_object == null ? [] : [
        { Sid = "ReadRules", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["arn:${local.partition}:s3:::${var.rules_object}"] },
      ],
      length(var.log_buckets) == 0 ? [] : [
        {
          Sid      = "ReadLogFiles"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:GetObjectVersion"]
          Resource = [for bucket in keys(var.log_buckets) : "arn:${local.partition}:s3:::${bucket}/*"]
        },
        {
          Sid      = "SeeLogFiles"
          Effect   = "Allow"
          Action   = ["s3:ListBucket"]
          Resource = [for bucket in keys(var.log_buckets) : "arn:${local.partition}:s3:::${bucket}"]
        },
      ],
      local.has_queue ? [
        {
          Sid      = "TakeMessages"
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"]
          Resource = [aws_sqs_queue.events[0].arn]
        },
      ] : [],
      length(var.kinesis_streams) == 0 ? [] : [
        {
          Sid      = "ReadStreams"
          Effect   = "Allow"
          Action   = ["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:SubscribeToShard"]
          Resource = tolist(var.kinesis_streams)
        },
      ],
    )
    query = [
      { Sid = "ReadTenants", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.store_arn}/tarn.json", "${local.tenant_arn}/*"] },
      # Delete requests of the Loki API are one object of their tenant.
      { Sid = "WriteDeleteRequests", Effect = "Allow", Action = ["s3:PutObject"], Resource = ["${local.tenant_arn}/m/deletes"] },
    ]
    compactor = [
      {
        Sid      = "RewriteStore"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = ["${local.store_arn}/*"]
      },
    ]
  }
}

resource "aws_iam_role" "function" {
  for_each = local.functions
  name     = "${var.name}-${each.key}"
  tags     = var.tags
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions
  name     = each.key
  role     = aws_iam_role.function[each.key].id
  # By way of JSON: the statements of the roles have different attributes, and Terraform would want them alike.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      jsondecode(jsonencode(local.own_statements[each.key])),
      [
        {
          Sid       = "SeeWhatIsMissing"
          Effect    = "Allow"
          Action    = "s3:ListBucket"
          Resource  = local.bucket_arn
          Condition = { StringLikeIfExists = { "s3:prefix" = local.listed[each.key] } }
        },
        {
          Sid      = "OwnLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/lambda/${var.name}-${each.key}:*"
        },
      ],
      local.key_statements,
    )
  })
}
