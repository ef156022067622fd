# A Vault operator: rotates, rewraps and destroys tenants' keys, replaces OAuth clients' secrets, adds workloads, and sees
# whether Vault is set up as it should be. Can neither decrypt, export nor import a key, nor become the broker.

# Sees which keys there are, and their versions. Deletes one after `deletion_allowed` was set on it.
path "${transit}/keys" {
  capabilities = ["list"]
}

path "${transit}/keys/+" {
  capabilities = ["read", "delete"]
}

path "${transit}/keys/+/rotate" {
  capabilities = ["update"]
}

# `exportable` and `allow_plaintext_backup` are missing here: once on, they cannot be turned off.
path "${transit}/keys/+/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
    "min_encryption_version" = []
    "deletion_allowed"       = []
    "auto_rotate_period"     = []
  }
}

path "${transit}/keys/+/trim" {
  capabilities = ["update"]
}

# Stronger than the four above: a DPoP key that is trimmed or deleted ends every grant that is bound to it. Rotating takes
# no parameter; trimming, raising a minimum and allowing deletion do, and are refused.
path "${transit}/keys/dpop-*" {
  capabilities = ["read", "update"]
  denied_parameters = {
    "*" = []
  }
}

# And for the key that signs the audit record: without its public halves nothing that it signed can be verified.
path "${transit}/keys/audit-checkpoint*" {
  capabilities = ["read"]
}

# Sees what the audit record must have reached.
path "${anchors}/data/+" {
  capabilities = ["read"]
}

path "${transit}/rewrap/tenant-*" {
  capabilities = ["update"]
}

# Replaces an OAuth client's secret and ends the former one, without reading either.
path "${kv}/data/+" {
  capabilities = ["update"]
}

path "${kv}/destroy/+" {
  capabilities = ["update"]
}

# Ends a certificate before its hour is over.
path "${pki}/revoke" {
  capabilities = ["update"]
}

# Adds and removes workloads. Only the workloads' policy can be given.
path "auth/${approle}/role" {
  capabilities = ["list"]
}

path "auth/${approle}/role/+" {
  capabilities = ["create", "read", "update", "delete"]
  allowed_parameters = {
    "token_policies"          = [["${workloadPolicy}"]]
    "token_no_default_policy" = [true]
    "token_type"              = ["batch"]
    "token_ttl"               = []
    "token_max_ttl"           = []
    "token_period"            = []
    "token_bound_cidrs"       = []
    "bind_secret_id"          = [true]
    "secret_id_bound_cidrs"   = []
    "secret_id_num_uses"      = []
    "secret_id_ttl"           = []
  }
}

path "auth/${approle}/role/+/role-id" {
  capabilities = ["read"]
}

path "auth/${approle}/role/+/secret-id" {
  capabilities = ["list", "update"]
}

path "auth/${approle}/role/+/secret-id-accessor/destroy" {
  capabilities = ["update"]
}

# The same for workloads that log in otherwise. Who they are is what Vault has verified, not what the role is called.
path "auth/${kubernetes}/role" {
  capabilities = ["list"]
}

path "auth/${kubernetes}/role/+" {
  capabilities = ["create", "read", "update", "delete"]
  allowed_parameters = {
    "token_policies"                   = [["${kubernetesPolicy}"]]
    "token_no_default_policy"          = [true]
    "token_type"                       = ["batch"]
    "token_ttl"                        = []
    "token_max_ttl"                    = []
    "token_period"                     = []
    "token_bound_cidrs"                = []
    "bound_service_account_names"      = []
    "bound_service_account_namespaces" = []
    "audience"                         = []
    "alias_name_source"                = ["serviceaccount_uid"]
  }
}

path "auth/${jwt}/role" {
  capabilities = ["list"]
}

path "auth/${jwt}/role/+" {
  capabilities = ["create", "read", "update", "delete"]
  allowed_parameters = {
    "token_policies"                   = [["${jwtPolicy}"]]
    "token_no_default_policy"          = [true]
    "token_type"                       = ["batch"]
    "token_ttl"                        = []
    "token_max_ttl"                    = []
    "token_period"                     = []
    "token_bound_cidrs"                = []
    "role_type"                        = ["jwt"]
    "user_claim"                       = ["sub"]
    "bound_subject"                    = []
    "bound_audiences"                  = []
    "claim_mappings"                   = []
  }
}

path "auth/${cert}/certs" {
  capabilities = ["list"]
}

path "auth/${cert}/certs/+" {
  capabilities = ["create", "read", "update", "delete"]
  allowed_parameters = {
    "token_policies"                   = [["${certPolicy}"]]
    "token_no_default_policy"          = [true]
    "token_type"                       = ["batch"]
    "token_ttl"                        = []
    "token_max_ttl"                    = []
    "token_period"                     = []
    "token_bound_cidrs"                = []
    "certificate"                      = []
    "allowed_common_names"             = []
  }
}

# The broker's role and credential are the bootstrap's: whoever has them can decrypt.
path "auth/${approle}/role/token-broker" {
  capabilities = ["read"]
}

path "auth/${approle}/role/token-broker/secret-id" {
  capabilities = ["list"]
}

# What `broker vault bootstrap --dry-run` reads.
path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/auth" {
  capabilities = ["read"]
}

path "sys/policies/acl/${brokerPolicy}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${workloadPolicy}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${kubernetesPolicy}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${jwtPolicy}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${certPolicy}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${operatorPolicy}" {
  capabilities = ["read"]
}

path "sys/policies/acl/${adminIdentityPolicy}" {
  capabilities = ["read"]
}

path "${transit}/config/keys" {
  capabilities = ["read"]
}

path "${pki}/roles/+" {
  capabilities = ["read"]
}

path "${pki}/config/auto-tidy" {
  capabilities = ["read"]
}

path "auth/${kubernetes}/config" {
  capabilities = ["read"]
}

path "auth/${jwt}/config" {
  capabilities = ["read"]
}

path "identity/oidc/config" {
  capabilities = ["read"]
}

path "identity/oidc/key/${identityKey}" {
  capabilities = ["read"]
}

path "identity/oidc/role/${identityRole}" {
  capabilities = ["read"]
}
