"""The models: what they are, where their weights come from, and what they see and hear.

A line of code in this room knows neither DuckDB nor a Dagster context, and takes nothing of the package but its errors.
Heavy libraries (torch, transformers, ultralytics, whisper, cv2) are imported inside functions, so that importing this
package, or Dagster's definitions, loads none of them.
"""
