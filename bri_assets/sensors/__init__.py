"""Sensors, one file a subject: what makes runs happen without a person."""
