"""Tests of the models: real weights, real pictures, real sound."""
