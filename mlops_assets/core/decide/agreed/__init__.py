"""What people have agreed on: the triggers under `retrain.on`."""
