"""An upload worker with the unmodified google-auth: uploads a few bytes by YouTube's resumable protocol.

Argument: where YouTube's API is. Prints what YouTube answered, or the sentence that its user reads.
"""
import json
import sys

import google.auth
import google.auth.exceptions
import google.auth.transport.requests

api, video = sys.argv[1], b"not really a video, but small\n"
try:
    credentials, _ = google.auth.default()
    session = google.auth.transport.requests.AuthorizedSession(credentials)
    begun = session.post(
        api + "/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status",
        json={"snippet": {"title": "Hello from Python"}, "status": {"privacyStatus": "private"}},
        headers={"X-Upload-Content-Type": "video/mp4", "X-Upload-Content-Length": str(len(video))},
    )
    begun.raise_for_status()
    done = session.put(begun.headers["location"], data=video, headers={"Content-Type": "video/mp4"})
    done.raise_for_status()
    print(json.dumps({"uploaded": done.json()["id"]}))
except google.auth.exceptions.GoogleAuthError as error:
    print(json.dumps({"error": str(error)}))
