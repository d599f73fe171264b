"""What the bench measures, part by part; each gives lines of the table and can be run alone."""
