"""Tests of `bri_assets.media`."""
