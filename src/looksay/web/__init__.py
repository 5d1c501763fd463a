"""An HTTP API and one page: captions in the browser.

``app`` has the routes, ``guard`` stands before them, ``batching`` brings requests together, ``limits`` says how much is
allowed, ``schemas`` what is sent and ``metrics`` what is counted. The page is in ``page/``, as it is sent.
"""
