"""This FIX engine, QuickFIX's Python binding and simplefix, measured in one run: `make bench-engines`."""
