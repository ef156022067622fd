# A workload's sidecar that logs in by cert: has its certificate signed, and nothing else. The PKI role signs only the
# SPIFFE ID that ends with the common name of the client certificate.

path "${pki}/sign/workload-cert" {
  capabilities = ["update"]
}
