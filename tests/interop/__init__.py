"""Our engine against QuickFIX, in processes of their own: `make interop`."""
