"""PEOPLE: everything through which someone asks something of a subscription."""
