# heap: 1024k
# timeout: 120
"""What has a socket, once more, over lwIP's: the tests of sender, MQTT client and clocks, with the modules of a board.

A board itself was never at hand. What of it can be had is here: the names its modules have and no others, sockets that
are polled themselves, that take what they have room for and give a segment at a time.
"""

from again import MICROPYTHON, again

from run import Skip

if MICROPYTHON:
    import lwip

    lwip.install()


def test_the_sockets_are_a_boards():
    if not MICROPYTHON:
        raise Skip("CPython has no such board")
    import errno
    import socket

    s = socket.socket()
    assert not hasattr(s, "fileno") and not hasattr(socket, "AF_UNIX") and not hasattr(errno, "EMSGSIZE")
    s.close()


def test_the_sender():
    again("test_sender")


def test_the_mqtt_client():
    again("test_mqtt")


def test_the_time_of_the_hub():
    again("test_hub_time")


def test_the_time_of_a_server():
    again("test_sntp")
