"""What every route of the JSON API shares; knows no feature."""
