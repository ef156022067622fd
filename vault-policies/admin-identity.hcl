# A person who manages channels: gets an identity token that the broker's API takes. What the person may do there is
# the broker's matter.

path "identity/oidc/token/${identityRole}" {
  capabilities = ["read"]
}
