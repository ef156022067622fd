# A workload's sidecar: has its certificate signed, and nothing else. The PKI role signs only the SPIFFE ID that ends
# with the name of the AppRole role that the sidecar logged in with.

path "${pki}/sign/workload" {
  capabilities = ["update"]
}
