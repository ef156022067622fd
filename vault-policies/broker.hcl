# The broker: encrypts and decrypts with tenants' keys, signs DPoP proofs, reads OAuth clients' secrets, and has its own
# certificate signed. It can neither export, change nor delete a key, nor sign for anybody else.

# Creates keys that can never leave Vault, and reads their versions and public halves. `+` ends the path here, so that
# nothing below a key (config, trim, import) is open. Vault asks for `update` also where a key is new.
path "${transit}/keys/+" {
  capabilities = ["read", "update"]
  allowed_parameters = {
    "type"                   = ["aes256-gcm96", "ecdsa-p256"]
    "derived"                = [true, false]
    "exportable"             = [false]
    "allow_plaintext_backup" = [false]
  }
}

# Makes a new version of a key. Older versions stay, so nothing is lost by it.
path "${transit}/keys/+/rotate" {
  capabilities = ["update"]
  denied_parameters = {
    "*" = []
  }
}

# Encrypts refresh tokens. Without `create`, a misspelt tenant makes no key.
path "${transit}/encrypt/tenant-*" {
  capabilities = ["update"]
}

# Decrypts refresh tokens for a refresh, and unwraps data keys.
path "${transit}/decrypt/tenant-*" {
  capabilities = ["update"]
}

# Makes the data keys under which access tokens lie in the cache.
path "${transit}/datakey/plaintext/tenant-*" {
  capabilities = ["update"]
}

# Signs DPoP proofs.
path "${transit}/sign/dpop-*" {
  capabilities = ["update"]
}

# Stores OAuth clients' secrets and reads them. The broker writes with check-and-set only; a replaced one stays as the
# former version.
path "${kv}/data/+" {
  capabilities = ["create", "read", "update"]
}

# Ends former secrets so that an operator can bring them back (`vault kv undelete`); it cannot destroy one.
path "${kv}/delete/+" {
  capabilities = ["update"]
}

# Has the broker's own certificate signed.
path "${pki}/sign/broker" {
  capabilities = ["update"]
}

# Keeps its own token alive, and ends it when the broker stops. The default policy is not attached.
path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
