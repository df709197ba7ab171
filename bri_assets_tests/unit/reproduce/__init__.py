"""Tests of `bri_assets.reproduce`."""
