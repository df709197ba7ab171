"""Tests of `bri_assets.store`."""
