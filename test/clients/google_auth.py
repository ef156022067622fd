"""A worker with the unmodified google-auth: prints the tokens it got, or the sentence that its user reads.

Arguments: how often to refresh, then scopes.
"""
import json
import sys

import google.auth
import google.auth.exceptions
import google.auth.transport.requests

times, scopes = int(sys.argv[1]), sys.argv[2:]
try:
    credentials, _ = google.auth.default(scopes=scopes or None)
    headers = {}
    tokens = []
    for _ in range(times):
        credentials.refresh(google.auth.transport.requests.Request())
        credentials.before_request(google.auth.transport.requests.Request(), "GET", "https://x.example/", headers)
        tokens.append(credentials.token)
    print(json.dumps({"tokens": tokens, "authorization": headers["authorization"], "email": credentials.service_account_email}))
except google.auth.exceptions.GoogleAuthError as error:
    print(json.dumps({"error": str(error)}))
