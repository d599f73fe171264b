"""Database migrations. An applied migration is never edited."""
