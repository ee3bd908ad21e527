"""What runs on a board, and on anything larger: the sender, the sensors, the node that puts them together."""
