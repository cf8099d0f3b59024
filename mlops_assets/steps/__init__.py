"""What the platform does, one folder a step, in the order of the data. A step may know earlier ones only."""
