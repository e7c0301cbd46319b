"""Runs the whole system on recorded prices: processes, player, report. Development and tests only."""
