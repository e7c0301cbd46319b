"""Faults as a program: the whole system in processes, while everything that can break is broken, from a seed."""
