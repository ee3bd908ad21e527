# Freezes Bourn into a firmware: include('.../bourn/manifest.py', stdlib=False) in a board's own manifest.
# Written by tools/board_files.py. The options core, device and stdlib are True; device needs core.
metadata(version="0.1.0", description="One dataflow for sensor data", license="MIT")
options.defaults(core=True, device=True, stdlib=True)

if options.core:
    package(
        "bourn",
        (
            "__init__.py",
            "_compat/__init__.py",
            "_compat/doorbell.py",
            "_compat/files.py",
            "_compat/sockets.py",
            "_compat/system.py",
            "_compat/tls_module.py",
            "asyncio_bridge.py",
            "batches.py",
            "chain.py",
            "clock.py",
            "drawing.py",
            "drivers/__init__.py",
            "drivers/deep_sleep.py",
            "drivers/event_loop.py",
            "drivers/light_sleep.py",
            "drivers/thread.py",
            "drivers/wakeable.py",
            "grid.py",
            "handover.py",
            "input_thing.py",
            "names.py",
            "operators/__init__.py",
            "operators/accumulate.py",
            "operators/again.py",
            "operators/as_json.py",
            "operators/buffer.py",
            "operators/change.py",
            "operators/correct.py",
            "operators/fork.py",
            "operators/grouping.py",
            "operators/joining.py",
            "operators/outbox.py",
            "operators/output.py",
            "operators/pace.py",
            "operators/place.py",
            "operators/routing.py",
            "operators/silence.py",
            "operators/stage.py",
            "operators/stateless.py",
            "operators/statistic.py",
            "operators/transducer.py",
            "operators/value.py",
            "operators/window.py",
            "policy.py",
            "ports.py",
            "proof.py",
            "ring.py",
            "scheduler.py",
            "sensor.py",
            "sources.py",
            "spool/__init__.py",
            "spool/follower.py",
            "spool/ram.py",
            "spool/segment_file.py",
            "spool/segments.py",
            "things.py",
            "wire.py",
        ),
        base_path="src",
    )

if options.device:
    package(
        "bourn",
        (
            "device/__init__.py",
            "device/connections/__init__.py",
            "device/connections/mqtt.py",
            "device/connections/pipe.py",
            "device/connections/tcp.py",
            "device/connections/tls.py",
            "device/connections/unix.py",
            "device/framing.py",
            "device/log.py",
            "device/mqtt.py",
            "device/mqtt_packet.py",
            "device/mqtt_things.py",
            "device/mqtt_thread.py",
            "device/node.py",
            "device/secure.py",
            "device/sender.py",
            "device/sensors/__init__.py",
            "device/sensors/generated.py",
            "device/sensors/system.py",
            "device/thingflow.py",
        ),
        base_path="src",
    )

if options.stdlib:
    module("_threading_local.py", base_path="stdlib")
    module("_threading_queues.py", base_path="stdlib")
    module("_threading_rare.py", base_path="stdlib")
    module("_threading_repr.py", base_path="stdlib")
    module("_threading_sync.py", base_path="stdlib")
    module("queue.py", base_path="stdlib")
    module("threading.py", base_path="stdlib")
