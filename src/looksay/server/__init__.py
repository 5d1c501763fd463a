"""The HTTP API and its web page (FastAPI, uvicorn).

`settings` declares every limit, `middleware` enforces those of requests and connections. `app` has the routes,
`batching` captions concurrent requests together, `schemas` are the bodies of responses, `run` starts the server.
"""
