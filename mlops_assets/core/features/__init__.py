"""Which feature views and label models there are, by which code, and whether they look ahead."""
