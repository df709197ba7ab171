"""Tests of alerts on their way to a person."""
