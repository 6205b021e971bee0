"""From problems to the parquet files verl trains on."""
