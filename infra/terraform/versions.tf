terraform {
  required_version = ">= 1.5.0"
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6.29 is the first with invoked_via_function_url, which public function URLs need.
      version = ">= 6.29.0, < 7.0.0"
    }
  }
}
