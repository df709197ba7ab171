"""Tests; they mirror `bri_assets`."""
