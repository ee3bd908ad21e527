"""The hub's live page: one snapshot function in, a page that shows it out.

    server.py  uvicorn as a guest in the hub's event loop
    guard.py   who may see the page
    app.py     what there is to see: the page, its files, the snapshot and the stream of snapshots
    static/    the page itself, as the browser gets it

Nothing is imported here, so that a hub without a page does not load a web server.
"""
