"""Tests of `bri_assets.schemas`."""
