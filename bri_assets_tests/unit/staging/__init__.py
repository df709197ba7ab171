"""Tests of `bri_assets.staging`."""
