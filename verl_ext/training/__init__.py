"""The seam to verl: entry point, configuration, the sign-filtering trainer."""
