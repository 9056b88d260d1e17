-- A worker ends. $1 id
DELETE FROM {schema}.worker WHERE id = $1::text
