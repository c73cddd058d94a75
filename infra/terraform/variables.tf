variable "name" {
  description = "What the names of the functions, roles and queues begin with."
  type        = string
  default     = "tarn"
  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,40}$", var.name))
    error_message = "name is a letter followed by at most 40 letters, digits and hyphens, such as tarn-prod."
  }
}

variable "zips" {
  description = "Folder with ingest.zip, query.zip and compactor.zip, as infra/lambda/build leaves them in target/lambda."
  type        = string
}

variable "existing_bucket" {
  description = "Bucket for the logs; null makes one."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether terraform destroy may delete a bucket that still holds logs. By default it refuses."
  type        = bool
  default     = false
}

variable "store_prefix" {
  description = "Folder of the store in the bucket."
  type        = string
  default     = "tarn"
  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.store_prefix))
    error_message = "store_prefix is a folder such as tarn or logs/prod, without a slash at its ends."
  }
}

variable "kms_key_arn" {
  description = "KMS key for the bucket; null encrypts with keys of S3 (SSE-S3), which costs nothing."
  type        = string
  default     = null
}

variable "retention" {
  description = "How long rows are kept, such as 30d or 365d; 0 is for ever."
  type        = string
  default     = "0"
  validation {
    condition     = can(regex("^(0|([0-9]+(ms|s|m|h|d|w|y))+)$", var.retention))
    error_message = "retention is 0 or a duration such as 30d."
  }
}

variable "url_auth_type" {
  description = "Who may call the function URLs: AWS_IAM, or NONE for everybody who knows them, to write and to read."
  type        = string
  default     = "AWS_IAM"
  validation {
    condition     = contains(["AWS_IAM", "NONE"], var.url_auth_type)
    error_message = "url_auth_type is AWS_IAM or NONE."
  }
}

variable "api_key" {
  description = "Whether to put an API Gateway before both functions, one address that wants a key in the header x-api-key. It costs 3.50 USD per million requests."
  type        = bool
  default     = false
}

variable "auth_enabled" {
  description = "Whether a request must name its tenant in X-Scope-OrgID; otherwise one without belongs to the tenant fake."
  type        = bool
  default     = false
}

variable "tenant" {
  description = "Tenant of events that have no headers, such as those of CloudWatch Logs, S3 and SQS. It must begin with tenant_prefix."
  type        = string
  default     = "fake"
  validation {
    condition     = can(regex("^[A-Za-z0-9!_.*'()-]{1,150}$", var.tenant))
    error_message = "tenant is 1 to 150 of the characters A-Z a-z 0-9 ! - _ . * ' ( )."
  }
}

variable "tenant_prefix" {
  description = "Only tenants whose id begins so may be written and read by these functions (their roles allow no other); empty is every tenant."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^[A-Za-z0-9!_.'()-]{0,150}$", var.tenant_prefix))
    error_message = "tenant_prefix has only the characters A-Z a-z 0-9 ! - _ . ' ( )."
  }
}

variable "ingest" {
  description = "Size of the ingest function: memory in MB, and concurrency reserved for it (-1 reserves none)."
  type = object({
    memory      = optional(number, 1024)
    concurrency = optional(number, -1)
  })
  default = {}
  validation {
    condition     = var.ingest.memory >= 128 && var.ingest.memory <= 10240
    error_message = "ingest.memory is 128 to 10240 MB."
  }
}

variable "query" {
  description = "Size of the query function: memory and /tmp in MB, timeout in seconds, bytes of /tmp that the cache may fill, concurrency (-1 reserves none), response buffered (6 MB) or stream (200 MB)."
  type = object({
    memory      = optional(number, 3008)
    timeout     = optional(number, 120)
    concurrency = optional(number, -1)
    tmp         = optional(number, 512)
    cache_bytes = optional(number, 402653184)
    response    = optional(string, "buffered")
  })
  default = {}
  validation {
    condition     = contains(["buffered", "stream"], var.query.response)
    error_message = "query.response is buffered or stream."
  }
  validation {
    condition     = var.query.timeout >= 5 && var.query.timeout <= 900
    error_message = "query.timeout is 5 to 900 seconds."
  }
  validation {
    condition     = var.query.memory >= 512 && var.query.memory <= 10240 && var.query.tmp >= 512 && var.query.tmp <= 10240
    error_message = "query.memory and query.tmp are 512 to 10240 MB."
  }
  validation {
    condition     = var.query.cache_bytes <= var.query.tmp * 1024 * 1024
    error_message = "query.cache_bytes must fit into /tmp (query.tmp MB)."
  }
}

variable "compactor" {
  description = "Size of the compactor: memory in MB, concurrency (1; -1 reserves none, for accounts whose limit leaves nothing to reserve), and when it runs."
  type = object({
    memory      = optional(number, 2048)
    concurrency = optional(number, 1)
    schedule    = optional(string, "rate(1 minute)")
  })
  default = {}
  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.compactor.schedule))
    error_message = "compactor.schedule is rate(...) or cron(...)."
  }
  validation {
    condition     = var.compactor.memory >= 512 && var.compactor.memory <= 10240
    error_message = "compactor.memory is 512 to 10240 MB."
  }
}

variable "environment" {
  description = "More settings of the functions by name, such as { TARN_LIMITS_MAX_LINE_SIZE = \"512KB\" }. All of a function's must fit into 4 KB."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for name in keys(var.environment) : startswith(name, "TARN_")])
    error_message = "settings in environment have names that begin with TARN_."
  }
}

variable "rules_object" {
  description = "bucket/key of a TOML file with label rules; null uses those built in."
  type        = string
  default     = null
}

variable "firehose_access_key" {
  description = "Access key that Firehose must send to /aws/firehose; null leaves that route without one."
  type        = string
  default     = null
  sensitive   = true
}

variable "log_groups" {
  description = "Existing CloudWatch log groups to take logs from. Never one of these functions, whose logs would then make logs."
  type        = set(string)
  default     = []
}

variable "log_buckets" {
  description = "Existing buckets into which AWS services write log files, and how their notifications come: queue or direct. Terraform sets all notifications of such a bucket, and removes those that it does not know."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for via in values(var.log_buckets) : contains(["queue", "direct"], via)])
    error_message = "log_buckets is a map of bucket names to queue or direct."
  }
}

variable "event_queue" {
  description = "Whether to make a queue whose messages are ingested, also without a bucket that needs it."
  type        = bool
  default     = false
}

variable "kinesis_streams" {
  description = "ARNs of existing Kinesis data streams to take logs from."
  type        = set(string)
  default     = []
}

variable "log_level" {
  description = "Filter of the functions' own logs, such as warn or info,store=debug."
  type        = string
  default     = "info"
}

variable "log_days" {
  description = "Days for which the functions' own logs are kept."
  type        = number
  default     = 14
}

variable "alarms" {
  description = "Whether to make about ten alarms of CloudWatch, at 0.10 USD a month each."
  type        = bool
  default     = true
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms are sent to."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
}
