"""History run through the same assets, sensors and policies, and its report."""
