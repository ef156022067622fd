# The broker: encrypts and decrypts with tenants' keys, signs DPoP proofs, reads OAuth clients' secrets, and has its own
# certificate signed. It rotates and rewraps tenants' keys; it can neither export, trim nor delete a key, nor sign for
# anybody else.

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

# Stronger than the two below and the one above, for DPoP keys: made and read as before, but their oldest version that
# signs is out of reach. (What begins with `dpop-` and goes on below the key takes these parameters or none.)
path "${transit}/keys/dpop-*" {
  capabilities = ["read", "update"]
  allowed_parameters = {
    "type"                   = ["ecdsa-p256"]
    "derived"                = [false]
    "exportable"             = [false]
    "allow_plaintext_backup" = [false]
  }
}

# Makes a new version of a key, by command or on schedule. Older versions stay, so nothing is lost by it.
path "${transit}/keys/+/rotate" {
  capabilities = ["update"]
  denied_parameters = {
    "*" = []
  }
}

# Raises the oldest version that decrypts once no row needs an older one; nothing else of the key can be changed.
path "${transit}/keys/+/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
  }
}

# Takes the one above back for the key that signs the audit record's checkpoints: old signatures must stay verifiable.
path "${transit}/keys/audit-checkpoint/config" {
  capabilities = ["deny"]
}

# Moves ciphertexts to the newest version without seeing a plaintext.
path "${transit}/rewrap/tenant-*" {
  capabilities = ["update"]
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

# Signs the ends of the audit chains. The bootstrap makes that key; the broker reads its public half and cannot make it anew.
path "${transit}/sign/audit-checkpoint" {
  capabilities = ["update"]
}

path "${transit}/keys/audit-checkpoint*" {
  capabilities = ["read"]
}

# Keeps the newest signed end of each audit chain outside the database.
path "${anchors}/data/+" {
  capabilities = ["create", "read", "update"]
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

# Has the revocation lists made anew before they run out. It revokes nothing by that.
path "${pki}/crl/rotate" {
  capabilities = ["read"]
}

# Keeps its own token alive, and ends it when the broker stops. The default policy is not attached.
path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
