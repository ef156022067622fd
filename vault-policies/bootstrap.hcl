# What `broker vault bootstrap` needs to set Vault up, and to issue the broker's credential. Whoever may write policies
# and enable login methods can do everything in the end: give this for the time of the bootstrap only. The bootstrap
# itself does not install it.

path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/mounts/${transit}" {
  capabilities = ["create", "update"]
}

path "sys/mounts/${kv}" {
  capabilities = ["create", "update"]
}

path "sys/mounts/${anchors}" {
  capabilities = ["create", "update"]
}

path "sys/mounts/${pki}" {
  capabilities = ["create", "update"]
}

path "sys/mounts/${pki}/tune" {
  capabilities = ["update"]
}

path "sys/auth" {
  capabilities = ["read"]
}

# Enabling a login method is one of the paths that Vault asks `sudo` for.
path "sys/auth/${approle}" {
  capabilities = ["create", "update", "sudo"]
}

# For `broker vault enable-login`.
path "sys/auth/${kubernetes}" {
  capabilities = ["create", "update", "sudo"]
}

path "sys/auth/${jwt}" {
  capabilities = ["create", "update", "sudo"]
}

path "sys/auth/${cert}" {
  capabilities = ["create", "update", "sudo"]
}

path "auth/${kubernetes}/config" {
  capabilities = ["create", "read", "update"]
}

path "auth/${jwt}/config" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${brokerPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${workloadPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${kubernetesPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${jwtPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${certPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${operatorPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/${adminIdentityPolicy}" {
  capabilities = ["create", "read", "update"]
}

path "${transit}/config/keys" {
  capabilities = ["read", "update"]
}

# Waits until a new KV engine is ready.
path "${kv}/config" {
  capabilities = ["read"]
}

path "${anchors}/config" {
  capabilities = ["read"]
}

# Makes the key that signs the audit record.
path "${transit}/keys/audit-checkpoint" {
  capabilities = ["create", "read", "update"]
}

path "${pki}/root/generate/internal" {
  capabilities = ["create", "update"]
}

path "${pki}/roles/+" {
  capabilities = ["create", "read", "update"]
}

path "${pki}/config/auto-tidy" {
  capabilities = ["read", "update"]
}

# Sets up the broker's role and issues its credential; adds workloads.
path "auth/${approle}/role/+" {
  capabilities = ["create", "read", "update"]
}

path "auth/${approle}/role/+/role-id" {
  capabilities = ["read"]
}

path "auth/${approle}/role/+/secret-id" {
  capabilities = ["update"]
}

# Adds workloads that log in otherwise.
path "auth/${kubernetes}/role/+" {
  capabilities = ["create", "read", "update"]
}

path "auth/${jwt}/role/+" {
  capabilities = ["create", "read", "update"]
}

path "auth/${cert}/certs/+" {
  capabilities = ["create", "read", "update"]
}

path "identity/oidc/config" {
  capabilities = ["read", "update"]
}

path "identity/oidc/key/${identityKey}" {
  capabilities = ["create", "read", "update"]
}

path "identity/oidc/role/${identityRole}" {
  capabilities = ["create", "read", "update"]
}
