"""`bourn board`: from an empty board to readings on the hub's page, over mpremote."""
