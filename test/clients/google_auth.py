"""A worker with the unmodified google-auth: prints the tokens it got, or the sentence that its user reads, and how long
that took.

Arguments: how often to refresh, then scopes.
"""
import json
import sys
import time

import google.auth
import google.auth.exceptions
import google.auth.transport.requests

began = time.monotonic()


def tell(result):
    print(json.dumps({**result, "ms": round((time.monotonic() - began) * 1000)}))


times, scopes = int(sys.argv[1]), sys.argv[2:]
try:
    credentials, _ = google.auth.default(scopes=scopes or None)
    headers = {}
    tokens = []
    for _ in range(times):
        credentials.refresh(google.auth.transport.requests.Request())
        credentials.before_request(google.auth.transport.requests.Request(), "GET", "https://x.example/", headers)
        tokens.append(credentials.token)
    email = getattr(credentials, "service_account_email", None)
    tell({"tokens": tokens, "authorization": headers["authorization"], "email": email})
except google.auth.exceptions.GoogleAuthError as error:
    tell({"error": str(error)})
