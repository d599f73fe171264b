"""Email: rendering and SMTP delivery of notices."""
