-- Whether the schema is there: asked for its moment, a database without it would spoil the user's transaction.
SELECT to_regclass('{schema}.migration') IS NOT NULL
