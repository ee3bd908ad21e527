"""What runs on CPython: connections in, the journal, repositories out, and the page that shows them.

connections/ -> link -> ingest -> journal (spool.sqlite) -> repositories/, each in a thread of its own
"""
