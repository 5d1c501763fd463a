"""The HTTP API and its web page (FastAPI, uvicorn).

`settings` declares every limit, `middleware` enforces those of requests. `app` has the routes, `uploads` reads forms,
`batching` captions concurrent requests together, `schemas` are the bodies of responses, `run` starts the server and
handles its connections.
"""
