# A workload's sidecar that logs in by kubernetes: has its certificate signed, and nothing else. The PKI role signs only the
# SPIFFE ID of the service account that the cluster has vouched for.

path "${pki}/sign/workload-kubernetes" {
  capabilities = ["update"]
}
