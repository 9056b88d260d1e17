"""Bytes <-> values. Pure: nothing here knows brokers, workers or the app."""
