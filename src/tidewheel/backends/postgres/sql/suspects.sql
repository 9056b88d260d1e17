-- Workers whose lease is over, or whose last beat is in the future (the server's clock was set back): id, beats, seconds between two looks.
SELECT id, beats, every FROM {schema}.worker, (SELECT {now} AS now) AS clock WHERE seen + lease < now OR seen > now + 1
