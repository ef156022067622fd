# A workload's sidecar that logs in by jwt: has its certificate signed, and nothing else. The PKI role signs only the
# SPIFFE ID of the service account that the token names.

path "${pki}/sign/workload-jwt" {
  capabilities = ["update"]
}
