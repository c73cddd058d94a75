# A bucket and three functions; agents and Grafana sign their requests.

module "tarn" {
  source    = "../.."
  zips      = "../../../../target/lambda"
  retention = "30d"
}

output "push_url" {
  value = "${module.tarn.ingest_url}loki/api/v1/push"
}

output "data_source_url" {
  value = trimsuffix(module.tarn.query_url, "/")
}
