"""Recording never stops, storage never overflows, nothing is deleted before it is safely away.

source -> recorder (files cut by frame count) -> keeper (catalogue, disk bound, triggers) -> uploader (archive, upload,
verify, delete). Three threads: the recorder's never waits for the other two. docs/recorder.md has the rules.
"""
