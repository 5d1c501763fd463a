"""An HTTP API and one page: captions in the browser.

``server`` listens, ``guard`` stands before the routes, ``app`` has them, ``batching`` brings requests together.
``limits`` says how much is allowed, ``schemas`` what is sent, ``answers`` why something is not, ``metrics`` what is
counted. The page is in ``page/``, as it is sent.
"""
