"""Tests of the business rules. Test names contain the rule number."""
