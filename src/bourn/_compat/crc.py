"""CRC-32 for the one port that has none built in, the ESP8266: four bits at a time, in two halves of 16 bits.

So no number on the way is above 2**16; one above 2**30 would cost 32 bits memory in every step. Source: the polynomial
of ITU-T V.42, 8.1.1.6.2, with its bits in reverse (0xEDB88320).
"""

# What four bits add, the higher and the lower half.
# fmt: off
_HIGH = (0x0000, 0x1DB7, 0x3B6E, 0x26D9, 0x76DC, 0x6B6B, 0x4DB2, 0x5005,
         0xEDB8, 0xF00F, 0xD6D6, 0xCB61, 0x9B64, 0x86D3, 0xA00A, 0xBDBD)
_LOW = (0x0000, 0x1064, 0x20C8, 0x30AC, 0x4190, 0x51F4, 0x6158, 0x713C,
        0x8320, 0x9344, 0xA3E8, 0xB38C, 0xC2B0, 0xD2D4, 0xE278, 0xF21C)
# fmt: on


def crc32(data, crc=0):
    """As `binascii.crc32`: of `data`, going on from `crc`."""
    high = crc >> 16 ^ 0xFFFF
    low = crc & 0xFFFF ^ 0xFFFF
    for byte in data:
        low ^= byte
        for _ in (0, 1):
            i = low & 15
            low = (low >> 4 | (high & 15) << 12) ^ _LOW[i]
            high = high >> 4 ^ _HIGH[i]
    return (high ^ 0xFFFF) << 16 | low ^ 0xFFFF
