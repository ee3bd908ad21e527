"""A process that records a source anyone can make again, and is killed: FOLDER ADDRESS SEED FRAMES_PER_FILE END.

It begins where the folder's recording has ended, and ends when frame END is reached and everything is away.
"""

import random
import sys
import time

from recordings import source_bytes

from bourn.hub.recorder.backoff import Backoff
from bourn.hub.recorder.form import raw
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import ObjectStore
from bourn.hub.recorder.uploader import Rules

SOURCE_SEED = 7


def main(folder, address, seed, frames_per_file, end):
    rng = random.Random(seed)
    backoff = Backoff(base_s=0.002, cap_s=0.05, permanent_s=0.05)
    settings = Settings("k", raw(4), frames_per_file, rules=Rules(backoff=backoff), sync_ms=20)
    store = ObjectStore(f"s3://bucket/p?endpoint={address}&timeout_s=5")
    recording = Recording(folder, settings, store, rng=random.Random(seed + 1))
    recording.start()
    recorder = recording.recorder
    print("ready", recorder.next_frame, flush=True)
    while recorder.next_frame < end:
        count = min(rng.randrange(1, 2 * frames_per_file), end - recorder.next_frame)
        recorder.write(source_bytes(recorder.next_frame, recorder.next_frame + count, 4, SOURCE_SEED))
        time.sleep(0.01)  # so that kills fall into the recording, not only behind it
    assert recording.close(60)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
