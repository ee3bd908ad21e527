#!/bin/sh
# Kills the hub three times with -9 while five sensors write as fast as 100 times a second, and counts the rows.
# Run it from the checkout after `make run` has set things up: sh examples/kill_the_hub.sh
set -eu
BOURN=${BOURN:-.venv/bin/bourn}
URL=tcp://127.0.0.1:${PORT:-7107}
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

start_hub() {
    "$BOURN" hub --listen "$URL" --journal "$dir/demo.db" >>"$dir/hub.log" 2>&1 &
    hub=$!
}

start_hub
"$BOURN" sensors --hub "$URL" --outbox "$dir/outbox" --every 0.01 --for 12 >"$dir/sensors.log" 2>&1 &
sensors=$!
for n in 1 2 3; do
    sleep 2
    kill -9 "$hub"
    wait "$hub" 2>/dev/null || true
    echo "hub killed in the middle of its work, and started again ($n of 3)"
    start_hub
done
wait "$sensors"
kill "$hub"
wait "$hub"

echo "sensors say:  $(tail -n 1 "$dir/sensors.log")"
"$BOURN" read "$dir/demo.db" --format csv | tail -n +2 | cut -d, -f1 >"$dir/ids"
echo "journal says: $(wc -l <"$dir/ids") rows, $(sort -u "$dir/ids" | wc -l) of them different"
