"""The benchmark cases. Each returns figures for the result table and can be run separately."""
