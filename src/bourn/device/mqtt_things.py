"""MQTT in a flow: both directions. A board that needs one of them imports it from its own file."""

from bourn.device.mqtt_reader import MQTTReader, decode
from bourn.device.mqtt_writer import MQTTWriter, encode

__all__ = ("MQTTReader", "MQTTWriter", "decode", "encode")
