-- The moment at which the schema was made, which tells it from any other.
SELECT min(applied) FROM {schema}.migration
